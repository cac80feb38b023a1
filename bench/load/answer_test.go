package load

import (
	"net/http"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	who := identity{known: true, slot: 2, generation: 3, pid: 4242}
	tests := map[string]struct {
		input string
		ended bool
		want  *answer // nil with err "": incomplete
		err   string
	}{
		"nothing yet":           {},
		"part of a status line": {input: "HTTP/1.1 20"},
		"part of a head":        {input: "HTTP/1.1 200 OK\r\nContent-Length: 1"},
		"part of a body":        {input: respond(hello)[:60]},
		"whole":                 {input: respond(hello), want: &answer{worker: who}},
		"whole, closed":         {input: respond(hello), ended: true, want: &answer{worker: who}},
		"closes after it":       {input: respond(hello, "Connection: close"), want: &answer{worker: who, last: true}},
		"no body":               {input: respond(""), want: &answer{}},
		"other body":            {input: respond("hi"), want: &answer{}},
		"identity in a header":  {input: respond("hi", "Prefork-Worker: slot=2 incarnation=5 generation=3 pid=4242"), want: &answer{worker: who}},
		"chunked":               {input: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", want: &answer{}},
		"part of the chunks":    {input: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"},
		"until the close":       {input: "HTTP/1.1 200 OK\r\n\r\n" + hello, ended: true, want: &answer{worker: who, last: true}},
		"not closed yet":        {input: "HTTP/1.1 200 OK\r\n\r\n" + hello},
		"closed at once":        {ended: true, err: "closed after 0 bytes"},
		"closed in the head":    {input: "HTTP/1.1 20", ended: true, err: "closed after 11 bytes"},
		"closed in the body":    {input: respond(hello)[:60], ended: true, err: "closed after 60 bytes"},
		"closed in the chunks":  {input: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", ended: true, err: "closed after 54 bytes"},
		"other status":          {input: "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", err: "status 404"},
		"not HTTP":              {input: "SSH-2.0-OpenSSH\r\n\r\n", err: "malformed"},
		"second answer":         {input: respond("hi") + respond("hi"), err: "bytes after the end"},
		"two lengths":           {input: respond("hi", "Content-Length: 3"), err: "Content-Length"},
	}
	p := newParser()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := p.parse([]byte(test.input), test.ended)
			if (err == nil) != (test.err == "") || (err != nil && !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("error: got %v, want one with %q", err, test.err)
			}
			if (got == nil) != (test.want == nil) || (got != nil && *got != *test.want) {
				t.Errorf("answer: got %+v, want %+v", got, test.want)
			}
		})
	}
}

// What the parser remembers is true for the same bytes only, and for the same end.
func TestParseAgain(t *testing.T) {
	t.Parallel()
	p := newParser()
	first, second := []byte(respond("hello from slot 1 generation 3 pid 4242\n")), []byte(respond(hello))
	for _, step := range []struct {
		input []byte
		ended bool
		slot  int32
	}{{input: first, slot: 1}, {input: first, slot: 1}, {input: second, slot: 2}, {input: first, ended: true, slot: 1}} {
		got, err := p.parse(step.input, step.ended)
		if err != nil || got == nil || got.worker.slot != step.slot {
			t.Errorf("got %+v, %v, want slot %d", got, err, step.slot)
		}
	}
	untilClose := []byte("HTTP/1.1 200 OK\r\n\r\nhi")
	if got, err := p.parse(untilClose, true); got == nil || !got.last {
		t.Errorf("closed: got %+v, %v, want an answer", got, err)
	}
	if got, err := p.parse(untilClose, false); got != nil || err != nil {
		t.Errorf("the same, not closed yet: got %+v, %v, want nothing", got, err)
	}
	once, _ := p.parse(first, true)
	if again, _ := p.parse(first, true); once == nil || again != once {
		t.Errorf("the same bytes again: got %p, want what they meant before, %p", again, once)
	}
}

// FuzzParse: whatever a server sends, the parser ends; and the same bytes that
// come in two pieces mean the same as in one.
func FuzzParse(f *testing.F) {
	f.Add([]byte(respond(hello)), 10)
	f.Add([]byte(respond("hi", "Connection: close")), 40)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), 50)
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\nuntil the close"), 20)
	f.Fuzz(func(t *testing.T, input []byte, cut int) {
		p := newParser()
		whole, wholeErr := p.parse(input, true)
		if (whole == nil) == (wholeErr == nil) {
			t.Fatalf("ended: got answer %v and error %v, want one of them", whole, wholeErr)
		}
		part := input[:min(max(cut, 0), len(input))]
		if early, err := p.parse(part, false); early != nil && err == nil && len(part) < len(input) && whole != nil {
			t.Errorf("complete after %d bytes, and again after %d", len(part), len(input))
		}
	})
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		header, body string
		want         identity
	}{
		"body":             {body: hello, want: identity{known: true, slot: 2, generation: 3, pid: 4242}},
		"header":           {header: "slot=0 incarnation=5 generation=1 pid=7", want: identity{known: true, slot: 0, generation: 1, pid: 7}},
		"header wins":      {header: "slot=1 incarnation=5 generation=1 pid=7", body: hello, want: identity{known: true, slot: 1, generation: 1, pid: 7}},
		"neither":          {body: "welcome"},
		"body cut":         {body: "hello from slot 2 generation"},
		"not a number":     {body: "hello from slot two generation 3 pid 1\n"},
		"number too large": {body: "hello from slot 99999999999 generation 3 pid 1\n"},
		"below zero":       {body: "hello from slot -1 generation 3 pid 1\n"},
		"another's body":   {body: "slot 2 generation 3 pid 4242\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			if test.header != "" {
				header.Set("Prefork-Worker", test.header)
			}
			if got := identify(header, []byte(test.body)); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
