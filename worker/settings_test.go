package worker

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"prefork/ipc"
)

func TestParseSettings(t *testing.T) {
	t.Parallel()
	got, err := parseSettings([]byte(`{
		"app": "hello", "idle_timeout_ns": 75000000000, "header_timeout_ns": 10000000000,
		"body_timeout_ns": 30000000000, "max_header": 8192, "max_body": 1048576,
		"identify": true, "orphan_timeout_ns": 60000000000, "of a newer master": true}`))
	want := ipc.Settings{
		App:         "hello",
		IdleTimeout: 75 * time.Second, HeaderTimeout: 10 * time.Second, BodyTimeout: 30 * time.Second,
		MaxHeader: 8192, MaxBody: 1 << 20,
		Identify: true, OrphanTimeout: time.Minute,
	}
	if err != nil || got != want {
		t.Errorf("parseSettings = %+v, %v, want %+v", got, err, want)
	}
}

func TestParseSettingsRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, settings, want string
	}{
		{"nothing", "", "decode settings: unexpected end"},
		{"wrong type", `{"app":7}`, "cannot unmarshal number"},
		{"two of them", `{"app":"hello"}{}`, "after top-level value"},
		{"negative time", `{"orphan_timeout_ns":-1}`, "orphan_timeout_ns is -1, which is below 0"},
		{"no ticket keys", `{"tls":{}}`, "tls has no ticket_keys"},
		{"short ticket key", `{"tls":{"ticket_keys":["AAAA"]}}`, "ticket_keys[0] of 3 bytes, not 32"},
		{"negative size", `{"max_body":-1}`, "max_body is -1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseSettings([]byte(test.settings))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("parseSettings(%s): %v, want an error with %q", test.settings, err, test.want)
			}
		})
	}
}

// FuzzParseSettings checks that nothing panics, and that what is accepted means
// the same after another trip.
func FuzzParseSettings(f *testing.F) {
	f.Add([]byte(`{"app":"hello","idle_timeout_ns":75000000000,"identify":true}`))
	f.Add([]byte(`{"max_header":-1}`))
	f.Add([]byte(`{"tls":{"certificate":"-----BEGIN","key":"","ticket_keys":["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]}}`))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		settings, err := parseSettings(encoded)
		if err != nil {
			return
		}
		again, err := parseSettings(mustMarshal(t, settings))
		if err != nil || !reflect.DeepEqual(again, settings) {
			t.Errorf("%+v came back as %+v, %v", settings, again, err)
		}
	})
}
