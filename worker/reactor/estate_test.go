package reactor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// talk is a Portable protocol for tests: that of lineHandler, and a line "count" is
// answered by how many lines the conversation has had, whoever has served it.
type talk struct {
	lineHandler
	lines int
	order string // what Pack does instead of packing
}

var errTalk = errors.New("this is not the state of a talk")

func (h *talk) Handle(in, out []byte) (consumed int, output []byte, next Phase) {
	line, _, whole := strings.Cut(string(in), "\n")
	if whole {
		h.lines++
	}
	switch {
	case line == "count" && whole:
		return len(line) + 1, fmt.Appendf(out, "%d\n", h.lines), Idle
	case strings.HasPrefix(line, "pack ") && whole:
		h.order = strings.TrimPrefix(line, "pack ")
	}
	return h.lineHandler.Handle(in, out)
}

func (h *talk) Pack() (packed []byte, ok bool) {
	switch h.order {
	case "nothing":
		return nil, false
	case "badly":
		return []byte("badly"), true
	case "bomb":
		return []byte("bomb"), true
	case "panic":
		panic("as ordered")
	case "much":
		return []byte(strings.Repeat("1", packedMax)), true
	case "too much":
		return []byte(strings.Repeat("1", packedMax+1)), true
	}
	if h.lines == 0 {
		return nil, true
	}
	return strconv.AppendInt(nil, int64(h.lines), 10), true
}

func (h *talk) Unpack(packed []byte) error {
	if string(packed) == "bomb" {
		panic("as packed")
	}
	if len(packed) > 100 {
		packed = packed[:1]
	}
	n, err := strconv.Atoi(string(packed))
	if err != nil {
		return errTalk
	}
	h.lines = n
	return nil
}

// newTalker is a rig that talks.
func newTalker(t testing.TB, config Config) *rig {
	t.Helper()
	if config.NewHandler != nil || config.Taker != nil {
		return newRig(t, config)
	}
	var r *rig
	config.NewHandler = func() Handler { return &talk{lineHandler: lineHandler{&r.handled}} }
	r = newRig(t, config)
	return r
}

// newEstate is a loop and an heir of it, which turns when the loop does.
func newEstate(t testing.TB, config Config) (r, heir *rig) {
	t.Helper()
	r = newTalker(t, config)
	heir = newTalker(t, Config{MaxInput: config.MaxInput})
	heir.now = r.now
	r.beside = []*rig{heir}
	return r, heir
}

func newPair(t testing.TB) (giving, taking int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	return fds[0], fds[1]
}

// inherit makes heir one of r's.
func (r *rig) inherit(heir *rig) {
	r.t.Helper()
	giving, taking := newPair(r.t)
	must(r.t, heir.loop.Take(taking))
	must(r.t, r.loop.Give(giving, 0))
}

// handOver has r drain, with an heir.
func (r *rig) handOver(heir *rig) *int {
	r.t.Helper()
	r.inherit(heir)
	return r.drain(0)
}

// noReports is for a hand-over in which nothing may go wrong.
func (r *rig) noReports() {
	r.t.Helper()
	for _, r := range append([]*rig{r}, r.beside...) {
		if len(r.reports) > 0 {
			r.t.Errorf("reported %v, want nothing", r.reports)
		}
	}
}

func (r *rig) expectHandOver(given, taken, finished, cut int) {
	r.t.Helper()
	if r.given != given || r.taken != taken || r.finished != finished || r.cut != cut {
		r.t.Errorf("%d given, %d taken, %d finished, %d cut, want %d, %d, %d, %d",
			r.given, r.taken, r.finished, r.cut, given, taken, finished, cut)
	}
}

// ask sends a line and expects it back.
func (c *client) ask(line string) {
	c.r.t.Helper()
	c.write(line + "\n")
	c.expect(line + "\n")
}

// talkers are clients whose connections are idle, and have had one line each.
func (r *rig) talkers(n int) []*client {
	r.t.Helper()
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = r.connect()
		clients[i].ask("a")
	}
	return clients
}

// stranger is the other end of a pair with a loop, in the hands of a test.
type stranger struct {
	t   testing.TB
	fd  int
	fds []int // that it was sent, and has not closed
}

func newStranger(t testing.TB) (s *stranger, other int) {
	t.Helper()
	other, fd := newPair(t)
	s = &stranger{t: t, fd: fd}
	t.Cleanup(s.close)
	return s, other
}

func (s *stranger) close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	s.drop(len(s.fds))
}

// drop closes the first n descriptors.
func (s *stranger) drop(n int) {
	closeAll(s.fds[:n])
	s.fds = s.fds[n:]
}

// parcel reads one.
func (s *stranger) parcel() (sequence uint32, items []item) {
	s.t.Helper()
	box := newMailbox()
	p := &pair{fd: s.fd}
	data, fds, _, err := p.receive(box)
	must(s.t, err)
	s.fds = append(s.fds, fds...)
	sequence, items, err = parseParcel(data, nil)
	must(s.t, err)
	if len(items) != len(fds) {
		s.t.Fatalf("%d connections with %d descriptors", len(items), len(fds))
	}
	return sequence, items
}

func (s *stranger) say(data []byte, fds ...int) {
	s.t.Helper()
	must(s.t, (&pair{fd: s.fd}).transmit(data, fds))
}

// expectEnd says that the loop has closed the pair.
func (s *stranger) expectEnd() {
	s.t.Helper()
	for {
		n, _, err := unix.Recvfrom(s.fd, make([]byte, 1), unix.MSG_DONTWAIT)
		if err == unix.ECONNRESET || n > 0 {
			continue
		}
		if err != nil {
			s.t.Errorf("the pair: %v, want its end", err)
		}
		return
	}
}
