package load

import (
	"bytes"
	"net/http"
	"strconv"
)

// identity is the worker that answered; known is false when it did not say.
type identity struct {
	known                 bool
	slot, generation, pid int32
}

// identify finds the worker in the header that `--identify` adds, else in the
// body of the hello app:
//
//	Prefork-Worker: slot=2 incarnation=5 generation=3 pid=4242
//	hello from slot 2 generation 3 pid 4242
func identify(header http.Header, body []byte) identity {
	text := []byte(header.Get("Prefork-Worker"))
	if len(text) == 0 && bytes.HasPrefix(body, []byte("hello from ")) {
		text = body
	}
	slot, okSlot := numberAfter(text, "slot")
	generation, okGeneration := numberAfter(text, "generation")
	pid, okPID := numberAfter(text, "pid")
	if !okSlot || !okGeneration || !okPID {
		return identity{}
	}
	return identity{known: true, slot: slot, generation: generation, pid: pid}
}

// numberAfter returns the number that follows a name and one separator.
func numberAfter(text []byte, name string) (int32, bool) {
	_, rest, found := bytes.Cut(text, []byte(name))
	if !found || len(rest) < 2 {
		return 0, false
	}
	digits := rest[1:] // '=' in the header, ' ' in the body
	if end := bytes.IndexAny(digits, " \r\n"); end >= 0 {
		digits = digits[:end]
	}
	number, err := strconv.ParseInt(string(digits), 10, 32)
	return int32(number), err == nil && number >= 0
}
