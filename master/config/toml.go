package config

import (
	"fmt"
	"strings"
)

// placeColumn is where the comments of TOML begin, if the values let them.
const placeColumn = 40

// TOML gives the configuration as a file, each line with a comment that says
// where its value came from. Read back, it gives the same configuration, but for
// the values of the environment: people keep passwords there, so they are hidden.
// Bytes that are not UTF-8 cannot stand in a file and are replaced.
func (r Resolved) TOML() string {
	var b strings.Builder
	for _, k := range keys {
		switch {
		case k.BuiltIn && r.ownProgram:
		case k.Kind == Table && len(r.Config.Environment) > 0:
			r.writeEnvironment(&b, k)
		case k.Name == "app" && len(r.Config.Command) > 0:
			b.WriteString("# no app: there is a command\n")
		default:
			writeLine(&b, k.Name, k.format(r.Config), r.origins.of(k.Name, ""))
		}
	}
	return b.String()
}

// writeEnvironment writes no [environment]: below it, a variable that is called
// like a key would look like one.
func (r Resolved) writeEnvironment(b *strings.Builder, k Key) {
	words := k.Words(r.Config)
	for i := 0; i < len(words); i += 2 {
		variable := words[i]
		if variable == "" || len(bareKey([]byte(variable))) < len(variable) {
			variable = quote(variable)
		}
		writeLine(b, k.Name+"."+variable, `"(hidden)"`, r.origins.of(k.Name, words[i]))
	}
}

func writeLine(b *strings.Builder, key, value string, from Origin) {
	fmt.Fprintf(b, "%-*s # %s\n", placeColumn-1, key+" = "+value, from)
}

// format gives the key's value as it stands in a file.
func (k Key) format(c Config) string {
	words := k.Words(c)
	switch word := last(words); {
	case k.Kind == List:
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = quote(w)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case k.Kind == Table:
		return "{}" // writeEnvironment has the rest
	case k.Kind == Switch, k.Kind == Count && strings.Trim(word, "0123456789") == "":
		return word
	default:
		return quote(word)
	}
}

// quote gives a TOML basic string. strconv.Quote will not do: it writes escapes
// that TOML 1.0 does not know.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, char := range s {
		switch {
		case char == '"' || char == '\\':
			b.WriteByte('\\')
			b.WriteRune(char)
		case char < ' ' || char == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, char)
		default:
			b.WriteRune(char)
		}
	}
	b.WriteByte('"')
	return b.String()
}
