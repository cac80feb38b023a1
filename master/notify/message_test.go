package notify

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"prefork/master/config"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		datagram string
		want     Message
		refused  string // part of the only line, "" for none
		err      string // part of it
	}{
		"ready":                  {datagram: "READY=1", want: Message{Ready: true}},
		"ready with a line feed": {datagram: "READY=1\n", want: Message{Ready: true}},
		"ready with a zero":      {datagram: "READY=1\x00", want: Message{Ready: true}},
		"several": {
			datagram: "READY=1\nSTATUS=serving\nWATCHDOG=1",
			want:     Message{Ready: true, Status: "serving", HasStatus: true, Watchdog: true},
		},
		"reload":               {datagram: "RELOADING=1\nMONOTONIC_USEC=12", want: Message{Reloading: true}},
		"stopping":             {datagram: "STOPPING=1", want: Message{Stopping: true}},
		"barrier":              {datagram: "BARRIER=1", want: Message{Barrier: true}},
		"trigger":              {datagram: "WATCHDOG=trigger", want: Message{Trigger: true}},
		"extend":               {datagram: "EXTEND_TIMEOUT_USEC=5000000", want: Message{Extend: 5 * time.Second}},
		"extend for long":      {datagram: "EXTEND_TIMEOUT_USEC=9223372036854775", want: Message{Extend: config.TimeoutMax}},
		"extend without end":   {datagram: "EXTEND_TIMEOUT_USEC=18446744073709551615", want: Message{Extend: config.TimeoutMax}},
		"extend beyond":        {datagram: "EXTEND_TIMEOUT_USEC=99999999999999999999999", want: Message{Extend: config.TimeoutMax}},
		"extend by nothing":    {datagram: "EXTEND_TIMEOUT_USEC=0", refused: "microseconds"},
		"extend backwards":     {datagram: "EXTEND_TIMEOUT_USEC=-5", refused: `"EXTEND_TIMEOUT_USEC=-5": write a number of microseconds`},
		"extend by words":      {datagram: "EXTEND_TIMEOUT_USEC=5s", refused: "microseconds"},
		"errno":                {datagram: "ERRNO=2\nSTATUS=no file", want: Message{Errno: 2, Status: "no file", HasStatus: true}},
		"errno in words":       {datagram: "ERRNO=ENOENT", refused: "number of an error"},
		"errno too large":      {datagram: "ERRNO=4096", refused: "number of an error"},
		"ready by another":     {datagram: "READY=0", refused: `"READY=0": only the value 1`},
		"ready twice":          {datagram: "READY=11", refused: "only the value 1"},
		"watchdog by another":  {datagram: "WATCHDOG=Trigger", refused: "only the value 1"},
		"status taken back":    {datagram: "STATUS=", want: Message{HasStatus: true}},
		"last status holds":    {datagram: "STATUS=a\nSTATUS=b", want: Message{HasStatus: true, Status: "b"}},
		"status with a sign":   {datagram: "STATUS=a=b", want: Message{HasStatus: true, Status: "a=b"}},
		"status in colour":     {datagram: "STATUS=\x1b[31mred\x07", want: Message{HasStatus: true, Status: "�[31mred�"}},
		"status backwards":     {datagram: "STATUS=a\u202eb\u2028c", want: Message{HasStatus: true, Status: "a�b�c"}},
		"status not UTF-8":     {datagram: "STATUS=a\xffb", want: Message{HasStatus: true, Status: "a�b"}},
		"status in Greek":      {datagram: "STATUS=Ὀδυσσεύς", want: Message{HasStatus: true, Status: "Ὀδυσσεύς"}},
		"main pid":             {datagram: "READY=1\nMAINPID=1", want: Message{Ready: true}, refused: `"MAINPID=1": the worker is the process that the master started`},
		"store":                {datagram: "FDSTORE=1", refused: "no descriptor store"},
		"watchdog interval":    {datagram: "WATCHDOG_USEC=1", refused: "the configuration says"},
		"refused with colours": {datagram: "MAINPID=\x1b[2J", refused: `"MAINPID=�[2J"`},
		"unknown":              {datagram: "X_SHOP=1\nBUSERROR=a.b\nVARLINKERROR=c\nready=1\n=1\nword"},
		"spaces are not ours":  {datagram: " READY=1"},
		"empty":                {datagram: "", err: "no notification"},
		"only line feeds":      {datagram: "\n\n", err: "no notification"},
		"prose":                {datagram: "hello\nworld", err: `it is no notification, whose lines look like READY=1: "hello�world"`},
		"zero inside":          {datagram: "READY=1\x00\x00", err: "zero byte"},
		"as long as may be":    {datagram: "READY=1\nX=" + strings.Repeat("x", MessageMax-10), want: Message{Ready: true}},
		"too long":             {datagram: "READY=1\nX=" + strings.Repeat("x", MessageMax-9), err: "more than 4096 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse([]byte(test.datagram))
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("got error %v, want %q", err, test.err)
			}
			if lines := strings.Join(got.Refused, "\n"); (lines == "") != (test.refused == "") || !strings.Contains(lines, test.refused) {
				t.Errorf("got refused %q, want %q", lines, test.refused)
			}
			got.Refused = nil
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestParseBoundsWhatItKeeps(t *testing.T) {
	t.Parallel()
	long, err := Parse([]byte("STATUS=" + strings.Repeat("é", StatusMax)))
	if err != nil || len(long.Status) > StatusMax || !strings.HasSuffix(long.Status, "é…") {
		t.Errorf("got %q, %v, want at most %d bytes that end in é…", long.Status, err, StatusMax)
	}
	many, err := Parse([]byte(strings.Repeat("MAINPID=1\n", MessageMax/10)))
	if err != nil || len(many.Refused) != refusedMax || many.Refused[refusedMax-1] != "and more" {
		t.Errorf("got %d lines %q, %v, want %d that end in \"and more\"", len(many.Refused), many.Refused, err, refusedMax)
	}
}

// FuzzParse compares the flags with a second, dumb reading, and checks the bounds.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"READY=1", "READY=1\nSTATUS=\x1b\xff…\u202e", "WATCHDOG=trigger\nERRNO=5", "EXTEND_TIMEOUT_USEC=18446744073709551616",
		"MAINPID=1\nFDSTORE=1\nFDNAME=a\x00", "\x00", "=", "BARRIER=1\n\n", strings.Repeat("READY=2\n", 12),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		m, err := Parse(datagram)
		if err != nil {
			checkLine(t, err.Error(), 200)
			if !reflect.DeepEqual(m, Message{}) {
				t.Errorf("got %+v with error %v", m, err)
			}
			return
		}
		lines := strings.Split(strings.TrimSuffix(string(datagram), "\x00"), "\n")
		says := func(line string) bool {
			for _, l := range lines {
				if l == line {
					return true
				}
			}
			return false
		}
		for line, got := range map[string]bool{
			"READY=1": m.Ready, "RELOADING=1": m.Reloading, "STOPPING=1": m.Stopping,
			"WATCHDOG=1": m.Watchdog, "WATCHDOG=trigger": m.Trigger, "BARRIER=1": m.Barrier,
		} {
			if got != says(line) {
				t.Errorf("%s: got %v from %q", line, got, datagram)
			}
		}
		checkLine(t, m.Status, StatusMax)
		if m.Extend < 0 || m.Extend > config.TimeoutMax || m.Errno < 0 || m.Errno > errnoMax || len(m.Refused) > refusedMax {
			t.Errorf("out of bounds: %+v", m)
		}
		for _, line := range m.Refused {
			checkLine(t, line, 400)
		}
	})
}

// checkLine fails for text that does not belong in a log or on a terminal.
func checkLine(t *testing.T, text string, limit int) {
	t.Helper()
	if !utf8.ValidString(text) || len(text) > limit || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != utf8.RuneError }) {
		t.Errorf("%d bytes, printable and at most %d wanted: %q", len(text), limit, text)
	}
}
