package ipc

import (
	"fmt"
	"unicode/utf8"
)

// Versions of the protocol that this package speaks.
const (
	Version    = 1 // the newest, which it writes
	MinVersion = 1 // the oldest that it still understands
)

// EnvFD names the environment variable in which a worker finds the number of
// the inherited descriptor that is its end of the pair.
const EnvFD = "PREFORK_IPC"

// Limits. Both sides apply them, to what they send and to what they receive.
const (
	MessageMax  = 64 << 10 // bytes of one message, header included
	SettingsMax = 48 << 10 // bytes of Welcome.Settings; most of it is for certificates
	TextMax     = 4096     // bytes of any text, which is valid UTF-8
	FDsMax      = 253      // descriptors with one message: SCM_MAX_FD, unix(7)
	SlotsMax    = 1024     // slots of a master
	ProtocolMax = 255      // bytes of Ready.Protocol, which is valid UTF-8
)

// Kind is the type of a message on the wire. A number once given is never
// given to another message.
type Kind uint16

// The kinds of messages.
const (
	KindHello   Kind = 1
	KindWelcome Kind = 2
	KindReady   Kind = 3
	KindServe   Kind = 4
	KindDrain   Kind = 5
	KindLeft    Kind = 6
	KindLeaving Kind = 7

	KindListening Kind = 8
	KindWatch     Kind = 9
	KindWatched   Kind = 10

	KindGive Kind = 11
	KindTake Kind = 12
)

// Message is one of the structs below, as a value: Hello, Welcome, Ready, Serve,
// Listening, Watch, Watched, Give, Take, Drain, Left or Leaving. The set is closed.
type Message interface{ kind() Kind }

// Hello is a worker's first message: which versions it speaks, and who it is.
type Hello struct {
	MinVersion, MaxVersion uint16
	PID                    int32 // in the worker's own PID namespace; for the log, never to signal
}

// Welcome is the master's answer to Hello. Two descriptors travel with it: the
// worker's scoreboard, for [OpenScoreboard], and the bell, an eventfd(2) that all
// workers of a master share. Whoever hears it ring looks into every queue that it
// watches; nobody reads it, or the others would not hear it.
type Welcome struct {
	Version     uint16 // what both speak from now on
	Slot        uint32
	Incarnation uint64
	Generation  uint64
	Settings    []byte // a Settings as JSON, at most SettingsMax bytes
}

// Ready tells the master that the worker could accept now. It does not accept
// before Serve.
type Ready struct {
	// Protocol names what the connections of this worker speak, and how it packs their
	// state: those of one worker can go on in another one that says the same. Empty:
	// they cannot be handed over. At most ProtocolMax bytes of valid UTF-8.
	Protocol string
}

// Serve tells a worker to accept: every worker of its generation is ready.
type Serve struct{}

// Listening tells the master that the worker's own listening sockets are in its
// loop. The kernel asks who came first, so siblings may come from now on. It comes
// again when they had to leave the loop for a while, because the worker was out of
// descriptors: then whoever watches them has to come to stand behind it anew.
type Listening struct{}

// Watch tells a worker to accept from the sockets of a sibling's slot, too: those
// that travel with it, behind everybody who watches them already. They take the
// place of the sockets that it has watched for that slot; without any, it lets go
// of these. The answer is Watched.
type Watch struct{ Slot uint32 }

// Watched tells the master that what a Watch asked for has been done.
type Watched struct{ Slot uint32 }

// Give tells a worker to give connections that are idle to another one, the heir, at
// the other end of the SOCK_SEQPACKET socket that travels with it. What goes through
// that socket is the workers' own affair (see package reactor). It comes after Serve;
// one for everything that a Drain ends comes BEFORE it, or at any time after it when
// the heir of before has gone.
type Give struct {
	Count uint32 // how many at most; 0: all, while the worker drains
}

// Take tells a worker to take the connections that come through the socket which
// travels with it, and to serve on with them. It comes after Serve.
type Take struct{}

// Drain tells a worker to finish what is in flight and to exit.
type Drain struct {
	Deadline int64 // CLOCK_MONOTONIC in nanoseconds (see Monotonic); 0 for none
}

// Left tells the master that the worker accepts no more, and that it emptied
// its listeners after taking them out of its loop.
type Left struct{}

// Leaving tells the master that the worker starts to drain of its own accord,
// because somebody sent it a signal, for example. It is not a crash.
type Leaving struct {
	Reason string // for people; at most TextMax bytes of valid UTF-8
}

func (Hello) kind() Kind   { return KindHello }
func (Welcome) kind() Kind { return KindWelcome }
func (Ready) kind() Kind   { return KindReady }
func (Serve) kind() Kind   { return KindServe }
func (Drain) kind() Kind   { return KindDrain }
func (Left) kind() Kind    { return KindLeft }
func (Leaving) kind() Kind { return KindLeaving }

func (Listening) kind() Kind { return KindListening }
func (Watch) kind() Kind     { return KindWatch }
func (Watched) kind() Kind   { return KindWatched }

func (Give) kind() Kind { return KindGive }
func (Take) kind() Kind { return KindTake }

// KindOf returns the kind of a message.
func KindOf(m Message) Kind { return m.kind() }

// String returns the kind's name in the words of the protocol.
func (k Kind) String() string {
	switch k {
	case KindHello:
		return "hello"
	case KindWelcome:
		return "welcome"
	case KindReady:
		return "ready"
	case KindServe:
		return "serve"
	case KindDrain:
		return "drain"
	case KindLeft:
		return "left"
	case KindLeaving:
		return "leaving"
	case KindListening:
		return "listening"
	case KindWatch:
		return "watch"
	case KindWatched:
		return "watched"
	case KindGive:
		return "give"
	case KindTake:
		return "take"
	}
	return fmt.Sprintf("kind %d", uint16(k))
}

// fds returns how many descriptors travel with a message of this kind, or the
// message is refused.
func (k Kind) fds() fdCount {
	switch k {
	case KindWelcome:
		return fdCount{2, 2}
	case KindWatch:
		return fdCount{0, FDsMax}
	case KindGive, KindTake:
		return fdCount{1, 1}
	}
	return fdCount{}
}

// fdCount is a number of descriptors.
type fdCount struct{ least, most int }

func (c fdCount) allows(n int) bool { return c.least <= n && n <= c.most }

func (c fdCount) String() string {
	if c.least == c.most {
		return fmt.Sprint(c.least)
	}
	return fmt.Sprintf("%d to %d", c.least, c.most)
}

// Agree returns the newest version that both the sender of the Hello and this
// package speak. It is false when there is none.
func (m Hello) Agree() (version uint16, ok bool) {
	newest := min(m.MaxVersion, Version)
	return newest, newest >= max(m.MinVersion, MinVersion)
}

// ProtocolError tells that a message breaks the protocol. Whoever receives one
// drops the connection: the peer is broken, or not what it seems.
type ProtocolError struct {
	Reason string
}

func (e *ProtocolError) Error() string { return "ipc protocol broken: " + e.Reason }

func violation(format string, args ...any) error {
	return &ProtocolError{Reason: fmt.Sprintf(format, args...)}
}

// check tells whether the values of a message are ones that may travel. The
// encoder and the decoder both ask it, so neither side accepts from the other
// what it would not send.
func check(m Message) error {
	switch m := m.(type) {
	case Hello:
		return m.check()
	case Welcome:
		return m.check()
	case Drain:
		return m.check()
	case Leaving:
		return m.check()
	case Watch:
		return checkSlot(m.Slot)
	case Watched:
		return checkSlot(m.Slot)
	case Ready:
		return m.check()
	case Serve, Listening, Left, Give, Take:
		return nil
	}
	return violation("%T is no message", m)
}

func (m Hello) check() error {
	if m.MinVersion == 0 || m.MinVersion > m.MaxVersion {
		return violation("hello from versions %d to %d", m.MinVersion, m.MaxVersion)
	}
	if m.PID <= 0 {
		return violation("hello from pid %d", m.PID)
	}
	return nil
}

func (m Welcome) check() error {
	if m.Version < MinVersion || m.Version > Version {
		return violation("welcome to version %d (known: %d to %d)", m.Version, MinVersion, Version)
	}
	if len(m.Settings) > SettingsMax {
		return violation("settings of %d bytes (limit %d)", len(m.Settings), SettingsMax)
	}
	return nil
}

func (m Ready) check() error {
	if len(m.Protocol) > ProtocolMax {
		return violation("name of a protocol of %d bytes (limit %d)", len(m.Protocol), ProtocolMax)
	}
	if !utf8.ValidString(m.Protocol) {
		return violation("name of a protocol is not valid UTF-8: %.64q", m.Protocol)
	}
	return nil
}

func checkSlot(slot uint32) error {
	if slot >= SlotsMax {
		return violation("slot %d (limit %d)", slot, SlotsMax)
	}
	return nil
}

func (m Drain) check() error {
	if m.Deadline < 0 {
		return violation("drain until %d", m.Deadline)
	}
	return nil
}

func (m Leaving) check() error {
	if len(m.Reason) > TextMax {
		return violation("reason of %d bytes (limit %d)", len(m.Reason), TextMax)
	}
	if !utf8.ValidString(m.Reason) {
		return violation("reason is not valid UTF-8: %.64q", m.Reason)
	}
	return nil
}
