package ipc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Read the diff of testdata after -update: a changed byte is a protocol that the
// running workers of an older master do not speak.
var update = flag.Bool("update", false, "write the golden files of testdata anew")

var examples = []struct {
	name    string
	message Message
}{
	{"hello", Hello{MinVersion: 1, MaxVersion: 2, PID: 4242}},
	{"welcome", Welcome{Version: 1, Slot: 2, Incarnation: 0x0102030405060708, Generation: 3, Settings: []byte(`{"app":"hello"}`)}},
	{"welcome-bare", Welcome{Version: 1, Slot: 1023, Incarnation: 1, Generation: 1}},
	{"ready", Ready{}},
	{"ready-portable", Ready{Protocol: "http/1"}},
	{"serve", Serve{}},
	{"drain", Drain{Deadline: 1_234_567_890_123}},
	{"drain-unbounded", Drain{}},
	{"left", Left{}},
	{"leaving", Leaving{Reason: "SIGTERM – direkt gesendet"}},
	{"leaving-silent", Leaving{}},
	{"listening", Listening{}},
	{"watch", Watch{Slot: 1023}},
	{"watched", Watched{Slot: 1}},
	{"give", Give{Count: 0x01020304}},
	{"give-all", Give{}},
	{"take", Take{}},
}

func TestGoldenBytes(t *testing.T) {
	t.Parallel()
	for _, example := range examples {
		t.Run(example.name, func(t *testing.T) {
			t.Parallel()
			dump := hex.Dump(mustAppend(t, example.message))
			path := filepath.Join("testdata", example.name+".hex")
			if *update {
				if err := os.WriteFile(path, []byte(dump), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if dump != string(want) {
				t.Errorf("bytes of %#v:\n%swant:\n%s", example.message, dump, want)
			}
		})
	}
}

func TestMessagesSurviveTheWire(t *testing.T) {
	t.Parallel()
	for _, example := range examples {
		t.Run(example.name, func(t *testing.T) {
			t.Parallel()
			packet := mustAppend(t, example.message)
			got, err := DecodeMessage(packet)
			clear(packet) // what was decoded must not refer to it
			if err != nil || !reflect.DeepEqual(got, example.message) {
				t.Errorf("DecodeMessage = %#v, %v, want %#v", got, err, example.message)
			}
		})
	}
}

func TestAppendMessageKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	alone := mustAppend(t, Drain{Deadline: 7})
	got, err := AppendMessage([]byte("before"), Drain{Deadline: 7})
	if want := "before" + string(alone); err != nil || string(got) != want {
		t.Errorf("AppendMessage = %q, %v, want %q", got, err, want)
	}
	got, err = AppendMessage([]byte("before"), Drain{Deadline: -1})
	if err == nil || string(got) != "before" {
		t.Errorf("AppendMessage of nonsense = %q, %v, want what was there and an error", got, err)
	}
}

func TestLimitsAreInclusive(t *testing.T) {
	t.Parallel()
	for _, message := range []Message{
		Welcome{Version: 1, Settings: make([]byte, SettingsMax)},
		Leaving{Reason: strings.Repeat("x", TextMax)},
		Ready{Protocol: strings.Repeat("x", ProtocolMax)},
	} {
		if _, err := DecodeMessage(mustAppend(t, message)); err != nil {
			t.Errorf("%s at its limit: %v", message.kind(), err)
		}
	}
}

func TestAppendMessageRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		message Message
		want    string
	}{
		{"nothing", nil, "<nil> is no message"},
		{"pointer", &Ready{}, "*ipc.Ready is no message"},
		{"hello without version", Hello{PID: 1}, "versions 0 to 0"},
		{"hello backwards", Hello{MinVersion: 3, MaxVersion: 2, PID: 1}, "versions 3 to 2"},
		{"hello from nobody", Hello{MinVersion: 1, MaxVersion: 1}, "pid 0"},
		{"welcome to the unknown", Welcome{Version: Version + 1}, "welcome to version 2"},
		{"settings too long", Welcome{Version: 1, Settings: make([]byte, SettingsMax+1)}, "limit 49152"},
		{"drain before the boot", Drain{Deadline: -5}, "drain until -5"},
		{"watch of a slot that cannot be", Watch{Slot: SlotsMax}, "slot 1024 (limit 1024)"},
		{"watched, likewise", Watched{Slot: 1 << 31}, "slot 2147483648 (limit 1024)"},
		{"reason too long", Leaving{Reason: strings.Repeat("x", TextMax+1)}, "limit 4096"},
		{"reason not UTF-8", Leaving{Reason: "\xff"}, "not valid UTF-8"},
		{"protocol too long", Ready{Protocol: strings.Repeat("x", ProtocolMax+1)}, "limit 255"},
		{"protocol not UTF-8", Ready{Protocol: "\xff"}, "not valid UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := AppendMessage(nil, test.message)
			mustBeViolation(t, err, test.want)
		})
	}
}

func TestDecodeMessageRefuses(t *testing.T) {
	t.Parallel()
	hello := string(mustAppend(t, Hello{MinVersion: 1, MaxVersion: 1, PID: 1}))
	ready := string(mustAppend(t, Ready{}))
	for _, test := range []struct {
		name, packet, want string
	}{
		{"nothing", "", "shorter than its header"},
		{"half a header", hello[:headerSize-1], "shorter than its header"},
		{"too much", strings.Repeat("x", MessageMax+1), "limit 65536"},
		{"another magic", "GET / HTTP/1.1\r\n\r\n", `starts with "GET "`},
		{"version 0", "pfrk\x00\x00\x03\x00\x00\x00\x00\x00", "version 0"},
		{"next version", "pfrk\x02\x00\x03\x00\x00\x00\x00\x00", "version 2"},
		{"kind 0", "pfrk\x01\x00\x00\x00\x00\x00\x00\x00", "kind 0"},
		{"next kind", "pfrk\x01\x00\x0d\x00\x00\x00\x00\x00", "kind 13"},
		{"body cut", hello[:len(hello)-1], "7 bytes announced as 8"},
		{"body longer than announced", ready + "x", "1 bytes announced as 0"},
		{"huge announcement", "pfrk\x01\x00\x03\x00\xff\xff\xff\xff", "announced as 4294967295"},
		{"short hello", "pfrk\x01\x00\x01\x00\x07\x00\x00\x00\x01\x00\x01\x00\x01\x00\x00", "hello of only 7 bytes"},
		{"short welcome", "pfrk\x01\x00\x02\x00\x01\x00\x00\x00\x01", "welcome of only 1 bytes"},
		{"ready of what is not UTF-8", "pfrk\x01\x00\x03\x00\x01\x00\x00\x00\xff", "not valid UTF-8"},
		{"long serve", "pfrk\x01\x00\x04\x00\x01\x00\x00\x00x", "1 bytes too many"},
		{"short give", "pfrk\x01\x00\x0b\x00\x03\x00\x00\x00123", "give of only 3 bytes"},
		{"long take", "pfrk\x01\x00\x0c\x00\x01\x00\x00\x00x", "1 bytes too many"},
		{"long drain", "pfrk\x01\x00\x05\x00\x09\x00\x00\x00123456781", "1 bytes too many"},
		{"reason not UTF-8", "pfrk\x01\x00\x07\x00\x01\x00\x00\x00\xff", "not valid UTF-8"},
		{"negative pid", hello[:len(hello)-1] + "\xff", "hello from pid -16777215"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, err := DecodeMessage([]byte(test.packet))
			if m != nil {
				t.Errorf("got %#v beside an error", m)
			}
			mustBeViolation(t, err, test.want)
		})
	}
}

func TestAgree(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		min, max uint16
		want     uint16
		ok       bool
	}{
		{"same", MinVersion, Version, Version, true},
		{"peer is newer", Version, Version + 1, Version, true},
		{"peer is much newer", Version + 1, Version + 2, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, ok := Hello{MinVersion: test.min, MaxVersion: test.max, PID: 1}.Agree()
			if ok != test.ok || (ok && got != test.want) {
				t.Errorf("Agree() = %d, %t, want %d, %t", got, ok, test.want, test.ok)
			}
		})
	}
}

// FuzzDecodeMessage checks that nothing panics, and that a message has one form
// only: whatever is accepted encodes to the very same bytes again.
func FuzzDecodeMessage(f *testing.F) {
	for _, example := range examples {
		packet := mustAppend(f, example.message)
		f.Add(packet)
		f.Add(packet[:len(packet)-1])
	}
	f.Add([]byte("pfrk\x01\x00\x0d\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		m, err := DecodeMessage(packet)
		if err != nil {
			mustBeViolation(t, err, "")
			return
		}
		again := mustAppend(t, m)
		if !bytes.Equal(again, packet) {
			t.Errorf("%#v came from\n%sand encodes to\n%s", m, hex.Dump(packet), hex.Dump(again))
		}
	})
}

// FuzzLeaving checks the way there and back for any text that may travel.
func FuzzLeaving(f *testing.F) {
	f.Add("SIGTERM")
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, reason string) {
		packet, err := AppendMessage(nil, Leaving{Reason: reason})
		if err != nil {
			mustBeViolation(t, err, "")
			return
		}
		got, err := DecodeMessage(packet)
		if want := (Leaving{Reason: reason}); err != nil || got != want {
			t.Errorf("DecodeMessage = %#v, %v, want %#v", got, err, want)
		}
	})
}

func mustAppend(t testing.TB, m Message) []byte {
	t.Helper()
	packet, err := AppendMessage(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func mustBeViolation(t testing.TB, err error, want string) {
	t.Helper()
	var violation *ProtocolError
	if !errors.As(err, &violation) || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v, want a protocol error with %q", err, want)
	}
}
