package ipc

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// The header of every message. Integers are little endian, everywhere.
//
//	offset  size  field
//	0       4     magic, "pfrk"
//	4       2     version
//	6       2     kind
//	8       4     length of the body, which is all that follows
//
// Bodies, without padding:
//
//	hello    minVersion u16, maxVersion u16, pid i32
//	welcome  version u16, slot u32, incarnation u64, generation u64, settings (the rest)
//	drain    deadline i64
//	leaving  reason (the rest)
//	watch    slot u32
//	watched  slot u32
//	ready    protocol (the rest)
//	give     count u32
//	serve, listening, take, left: empty
const (
	magic            = "pfrk"
	versionOffset    = 4
	kindOffset       = 6
	lengthOffset     = 8
	headerSize       = 12
	welcomeFixedSize = 2 + 4 + 8 + 8
)

// The largest message there is fits MessageMax; a negative difference would not
// compile.
const _ = uint(MessageMax - (headerSize + welcomeFixedSize + SettingsMax))

var wire = binary.LittleEndian

// AppendMessage appends the bytes of m to dst. It returns dst as it was and an
// error that wraps a *ProtocolError when m may not travel: a text or settings
// beyond the limit, a nonsensical value, or no message at all.
func AppendMessage(dst []byte, m Message) ([]byte, error) {
	if err := check(m); err != nil {
		return dst, fmt.Errorf("encode message: %w", err)
	}
	start := len(dst)
	dst = append(dst, magic...)
	dst = wire.AppendUint16(dst, Version)
	dst = wire.AppendUint16(dst, uint16(m.kind()))
	dst = wire.AppendUint32(dst, 0) // the length is known once the body is there
	dst = appendBody(dst, m)
	wire.PutUint32(dst[start+lengthOffset:], uint32(len(dst)-start-headerSize))
	return dst, nil
}

func appendBody(dst []byte, m Message) []byte {
	switch m := m.(type) {
	case Hello:
		dst = wire.AppendUint16(dst, m.MinVersion)
		dst = wire.AppendUint16(dst, m.MaxVersion)
		dst = wire.AppendUint32(dst, uint32(m.PID))
	case Welcome:
		dst = wire.AppendUint16(dst, m.Version)
		dst = wire.AppendUint32(dst, m.Slot)
		dst = wire.AppendUint64(dst, m.Incarnation)
		dst = wire.AppendUint64(dst, m.Generation)
		dst = append(dst, m.Settings...)
	case Drain:
		dst = wire.AppendUint64(dst, uint64(m.Deadline))
	case Leaving:
		dst = append(dst, m.Reason...)
	case Watch:
		dst = wire.AppendUint32(dst, m.Slot)
	case Watched:
		dst = wire.AppendUint32(dst, m.Slot)
	case Ready:
		dst = append(dst, m.Protocol...)
	case Give:
		dst = wire.AppendUint32(dst, m.Count)
	case Serve, Listening, Take, Left: // nothing to say beyond the kind
	}
	return dst
}

// DecodeMessage reads the one message that b is. It keeps no reference to b.
// Anything but exactly one well-formed message is refused with a *ProtocolError:
// unknown magic, version or kind, a body too short or too long, values that
// [AppendMessage] would refuse. It never panics, whatever b holds.
func DecodeMessage(b []byte) (Message, error) {
	kind, body, err := splitHeader(b)
	if err != nil {
		return nil, err
	}
	r := reader{rest: body}
	m := r.message(kind)
	if m == nil {
		return nil, violation("unknown message, %s", kind)
	}
	if r.short {
		return nil, violation("%s of only %d bytes", kind, len(body))
	}
	if len(r.rest) > 0 {
		return nil, violation("%s with %d bytes too many", kind, len(r.rest))
	}
	if err := check(m); err != nil {
		return nil, err
	}
	return m, nil
}

func splitHeader(b []byte) (Kind, []byte, error) {
	if len(b) > MessageMax {
		return 0, nil, violation("message of %d bytes (limit %d)", len(b), MessageMax)
	}
	if len(b) < headerSize {
		return 0, nil, violation("message of %d bytes, shorter than its header", len(b))
	}
	if string(b[:versionOffset]) != magic {
		return 0, nil, violation("message starts with %q, not %q", b[:versionOffset], magic)
	}
	if v := wire.Uint16(b[versionOffset:]); v < MinVersion || v > Version {
		return 0, nil, violation("message of version %d (known: %d to %d)", v, MinVersion, Version)
	}
	body := b[headerSize:]
	if length := wire.Uint32(b[lengthOffset:]); uint64(length) != uint64(len(body)) {
		return 0, nil, violation("body of %d bytes announced as %d", len(body), length)
	}
	return Kind(wire.Uint16(b[kindOffset:])), body, nil
}

// reader takes fields off the front of a body. It answers zeros beyond the end
// and remembers that in short, so that a decoder asks once, at its end.
type reader struct {
	rest  []byte
	short bool
}

// message reads the body of a message; nil means that the kind is unknown.
func (r *reader) message(kind Kind) Message {
	switch kind {
	case KindHello:
		return Hello{MinVersion: r.uint16(), MaxVersion: r.uint16(), PID: int32(r.uint32())}
	case KindWelcome:
		return Welcome{
			Version:     r.uint16(),
			Slot:        r.uint32(),
			Incarnation: r.uint64(),
			Generation:  r.uint64(),
			Settings:    r.remainder(),
		}
	case KindReady:
		return Ready{Protocol: string(r.remainder())}
	case KindServe:
		return Serve{}
	case KindDrain:
		return Drain{Deadline: int64(r.uint64())}
	case KindLeft:
		return Left{}
	case KindLeaving:
		return Leaving{Reason: string(r.remainder())}
	case KindListening:
		return Listening{}
	case KindWatch:
		return Watch{Slot: r.uint32()}
	case KindWatched:
		return Watched{Slot: r.uint32()}
	case KindGive:
		return Give{Count: r.uint32()}
	case KindTake:
		return Take{}
	}
	return nil
}

func (r *reader) uint16() uint16 { return wire.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return wire.Uint32(r.take(4)) }
func (r *reader) uint64() uint64 { return wire.Uint64(r.take(8)) }

func (r *reader) take(n int) []byte {
	if len(r.rest) < n {
		r.short, r.rest = true, nil
		return make([]byte, n)
	}
	field := r.rest[:n]
	r.rest = r.rest[n:]
	return field
}

// remainder returns a copy of all that is left; nil when nothing is.
func (r *reader) remainder() []byte {
	rest := r.rest
	r.rest = nil
	if len(rest) == 0 {
		return nil
	}
	return slices.Clone(rest)
}
