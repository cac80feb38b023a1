package notify

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"prefork/master/config"
)

const (
	// MessageMax is the most bytes of one message, as with systemd.
	MessageMax = 4096
	// StatusMax bounds Message.Status, in bytes.
	StatusMax = 256
	// refusedMax bounds Message.Refused, in lines.
	refusedMax = 8
	// quoteMax bounds what a line repeats of the sender's words.
	quoteMax = 40
	// errnoMax is the kernel's MAX_ERRNO.
	errnoMax = 4095
)

// Message is what a worker said. The zero value says nothing.
type Message struct {
	Ready     bool // READY=1: it serves; also the end of a reload
	Reloading bool // RELOADING=1: READY=1 follows
	Stopping  bool // STOPPING=1: it leaves of its own accord, or as told

	// Status is one line of printable text for people, cut at StatusMax. It holds
	// if HasStatus: an empty one takes back the one before.
	Status    string
	HasStatus bool

	Watchdog bool // WATCHDOG=1: it is alive
	Trigger  bool // WATCHDOG=trigger: it asks to be treated as hung

	// Extend asks for so much time from now on to start, reload or stop; 0: not
	// asked. It is at most config.TimeoutMax; whether to grant it is the caller's.
	Extend time.Duration
	// Errno tells why it fails, 0: not said.
	Errno int
	// Barrier says that the sender waits until the message was received. By now it
	// does so no longer.
	Barrier bool

	// Refused has one line for each part of the message that was not followed, and
	// why. It is bounded and printable.
	Refused []string
}

// Why a worker may not make the assignments of the table below.
const (
	noMainPID = "the worker is the process that the master started: let it stay in the foreground"
	noStore   = "there is no descriptor store for workers"
)

// reserved are the assignments that would change how a worker is supervised, with
// what to tell whoever wrote the program.
var reserved = map[string]string{
	"MAINPID":       noMainPID,
	"MAINPIDFD":     noMainPID,
	"MAINPIDFDID":   noMainPID,
	"FDSTORE":       noStore,
	"FDSTOREREMOVE": noStore,
	"FDNAME":        noStore,
	"FDPOLL":        noStore,
	"WATCHDOG_USEC": "the configuration says how often a worker must be heard of",
	"NOTIFYACCESS":  "the worker and its descendants may speak, nobody else",
	"RESTART_RESET": "the master counts the restarts",
}

// Parse reads one message. The error is about all of it, in words: too long, a
// zero byte inside, or nothing that looks like NAME=VALUE. What is wrong with one
// assignment is a line in Refused, and the others hold. Of two assignments to one
// name the last holds.
func Parse(datagram []byte) (Message, error) {
	var m Message
	if len(datagram) > MessageMax {
		return m, fmt.Errorf("it has more than %d bytes", MessageMax)
	}
	datagram = bytes.TrimSuffix(datagram, []byte{0}) // C programs may send it; systemd allows one
	if bytes.IndexByte(datagram, 0) >= 0 {
		return m, errors.New("it has a zero byte inside")
	}
	found := false
	for line := range bytes.SplitSeq(datagram, []byte("\n")) {
		name, value, isAssignment := bytes.Cut(line, []byte("="))
		if isAssignment && len(name) > 0 {
			found = true
			m.assign(string(name), string(value))
		}
	}
	if !found {
		return m, fmt.Errorf("it is no notification, whose lines look like READY=1: %s", quote(string(datagram)))
	}
	return m, nil
}

// assign follows one assignment or says why not.
func (m *Message) assign(name, value string) {
	switch name {
	case "READY":
		m.set(&m.Ready, name, value)
	case "RELOADING":
		m.set(&m.Reloading, name, value)
	case "STOPPING":
		m.set(&m.Stopping, name, value)
	case "BARRIER":
		m.set(&m.Barrier, name, value)
	case "STATUS":
		m.Status, m.HasStatus = printable(value, StatusMax), true
	case "WATCHDOG":
		if value == "trigger" {
			m.Trigger = true
			return
		}
		m.set(&m.Watchdog, name, value)
	case "EXTEND_TIMEOUT_USEC":
		m.extend(name, value)
	case "ERRNO":
		m.errno(name, value)
	default:
		if reason, found := reserved[name]; found {
			m.refuse(name, value, reason)
		}
	}
}

func (m *Message) set(field *bool, name, value string) {
	if value != "1" {
		m.refuse(name, value, "only the value 1 means anything")
		return
	}
	*field = true
}

func (m *Message) extend(name, value string) {
	microseconds, err := strconv.ParseUint(value, 10, 64)
	if outOfRange := errors.Is(err, strconv.ErrRange); err != nil && !outOfRange || microseconds == 0 {
		m.refuse(name, value, "write a number of microseconds, such as 5000000 for 5 seconds")
		return
	}
	m.Extend = config.TimeoutMax
	if microseconds < math.MaxInt64/uint64(time.Microsecond) {
		m.Extend = min(m.Extend, time.Duration(microseconds)*time.Microsecond)
	}
}

func (m *Message) errno(name, value string) {
	errno, err := strconv.Atoi(value)
	if err != nil || errno < 0 || errno > errnoMax {
		m.refuse(name, value, "write the number of an error, such as 2 for ENOENT")
		return
	}
	m.Errno = errno
}

func (m *Message) refuse(name, value, reason string) {
	m.refuseLine(quote(name+"="+value) + ": " + reason)
}

func (m *Message) refuseLine(line string) {
	switch {
	case len(m.Refused) < refusedMax-1:
		m.Refused = append(m.Refused, line)
	case len(m.Refused) == refusedMax-1:
		m.Refused = append(m.Refused, "and more")
	}
}

// quote repeats a little of what was sent.
func quote(text string) string { return strconv.Quote(printable(text, quoteMax)) }

// printable makes text fit for a log and a terminal: what is not printable
// UTF-8 (escape sequences, line feeds, marks that turn the direction of writing)
// becomes U+FFFD, and what is longer than limit bytes ends in "…".
func printable(text string, limit int) string {
	const cut = "…"
	long := len(text) > limit
	if long { // BEFORE the mapping, which may make it longer: its cost is bounded
		text = text[:limit]
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
	if !long && len(text) <= limit {
		return text
	}
	end := min(len(text), limit-len(cut))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cut
}
