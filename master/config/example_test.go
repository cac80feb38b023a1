package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// commentedSetting is how the example writes a setting that is not in force: a #
// without a space behind it.
var commentedSetting = regexp.MustCompile(`(?m)^#([a-z]+[a-z-]* = |\[|[A-Z]+ = )`)

// TestExample loads the example as it is, and with every setting in force.
func TestExample(t *testing.T) {
	t.Parallel()
	text := mustRead(t, "../../examples/prefork.toml")
	r := mustResolve(t, sources(text, nil))
	if !reflect.DeepEqual(r.Config, Default()) {
		t.Errorf("as it is, the example gives %+v", r.Config)
	}
	r = mustResolve(t, sources(commentedSetting.ReplaceAllString(text, "$1"), nil))
	for _, k := range Keys() {
		if place := r.origins.of(k.Name, "").String(); !strings.HasPrefix(place, "shop.toml:") {
			t.Errorf("the example does not have %s (%s)", k.Name, place)
		}
	}
	want := Default()
	want.Environment = map[string]string{"NAME": "value"}
	if !reflect.DeepEqual(r.Config, want) {
		t.Errorf("with every setting in force the example gives\n%+v, which are not the defaults\n%+v", r.Config, want)
	}
}

// TestDocumentHasEveryKey: a key that nobody can look up does not exist.
func TestDocumentHasEveryKey(t *testing.T) {
	t.Parallel()
	text := mustRead(t, "../../docs/CONFIGURATION.md")
	for _, k := range Keys() {
		reload := "yes"
		if k.Fixed {
			reload = "no"
		}
		row := regexp.MustCompile("(?m)^\\| `" + k.Name + "` \\| `" + regexp.QuoteMeta(k.format(Default())) + "` \\| .+ \\| " + reload + " \\|$")
		if !row.MatchString(text) {
			t.Errorf("docs/CONFIGURATION.md has no row for %s with its default %s, and %q for a reload", k.Name, k.format(Default()), reload)
		}
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
