package reactor

import (
	"encoding/binary"
	"fmt"
)

// What a giver and its heir say to each other: a datagram each, all numbers
// little-endian. Only the giver sends parcels, only the heir acknowledges them.
//
//	parcel        bytes  0–3   "PFhp"
//	                     4–5   wireVersion
//	                     6–7   connections, 1 to parcelMax: as many descriptors come along
//	                     8–11  sequence number, 1 for the first, one more for each
//	              then for each connection, in the order of the descriptors
//	                     0     phase: Idle or Header
//	                     1     0
//	                     2–3   length of what its handler has packed
//	                     4–7   length of its unread input
//	                     8–15  its deadline, CLOCK_MONOTONIC ns; 0: none
//	                     then what is packed, then the input
//
//	acknowledged  bytes  0–3   "PFha"
//	                     4–5   wireVersion
//	                     6–7   taken: so many of the parcel's first connections
//	                     8–11  sequence number of the parcel
const (
	wireVersion = 1

	parcelMagic = "PFhp"
	ackMagic    = "PFha"
	wireHeader  = 12 // bytes, of both
	itemHeader  = 16

	// parcelMax is how many descriptors the kernel passes with one message:
	// SCM_MAX_FD in Linux's include/net/scm.h.
	parcelMax = 253
	// packedMax bounds what a handler may pack, in bytes.
	packedMax = 4 << 10
	// travelMax bounds the unread input that travels with a connection, in bytes.
	travelMax = 64 << 10
	// datagramMax bounds a parcel, in bytes: two connections that have as much as they
	// may fit, and usually 253 that have little.
	datagramMax = 192 << 10
)

// item is one connection in a parcel.
type item struct {
	phase    Phase
	deadline int64
	packed   []byte
	unread   []byte
}

func (it item) size() int { return itemHeader + len(it.packed) + len(it.unread) }

// acknowledgement says how much of a parcel an heir has taken.
type acknowledgement struct {
	sequence uint32
	taken    int
}

// appendHeader begins a datagram.
func appendHeader(b []byte, magic string, count int, sequence uint32) []byte {
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, wireVersion)
	b = binary.LittleEndian.AppendUint16(b, uint16(count))
	return binary.LittleEndian.AppendUint32(b, sequence)
}

// setCount completes a header.
func setCount(data []byte, count int) { binary.LittleEndian.PutUint16(data[6:], uint16(count)) }

func appendItem(b []byte, it item) []byte {
	b = append(b, byte(it.phase), 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(it.packed)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(it.unread)))
	b = binary.LittleEndian.AppendUint64(b, uint64(it.deadline))
	b = append(b, it.packed...)
	return append(b, it.unread...)
}

func (a acknowledgement) encode() []byte {
	return appendHeader(nil, ackMagic, a.taken, a.sequence)
}

// parseHeader returns the two numbers of a datagram's header, and what is behind it.
func parseHeader(data []byte, magic string) (count int, sequence uint32, rest []byte, err error) {
	if len(data) < wireHeader || string(data[:4]) != magic {
		return 0, 0, nil, fmt.Errorf("%d bytes that do not begin like %q", len(data), magic)
	}
	if version := binary.LittleEndian.Uint16(data[4:]); version != wireVersion {
		return 0, 0, nil, fmt.Errorf("version %d, and we speak %d", version, wireVersion)
	}
	count = int(binary.LittleEndian.Uint16(data[6:]))
	if count > parcelMax {
		return 0, 0, nil, fmt.Errorf("%d connections, and %d is the most", count, parcelMax)
	}
	return count, binary.LittleEndian.Uint32(data[8:]), data[wireHeader:], nil
}

func parseAcknowledgement(data []byte) (acknowledgement, error) {
	taken, sequence, rest, err := parseHeader(data, ackMagic)
	if err != nil {
		return acknowledgement{}, fmt.Errorf("no acknowledgement: %w", err)
	}
	if len(rest) > 0 {
		return acknowledgement{}, fmt.Errorf("no acknowledgement: %d bytes more than it has", len(rest))
	}
	return acknowledgement{sequence: sequence, taken: taken}, nil
}

// parseParcel returns what a parcel holds, in the place of items. It lies in data.
func parseParcel(data []byte, items []item) (sequence uint32, _ []item, err error) {
	count, sequence, rest, err := parseHeader(data, parcelMagic)
	if err == nil && count == 0 {
		err = fmt.Errorf("no connection in it")
	}
	items = items[:0]
	for i := 0; i < count && err == nil; i++ {
		var it item
		if it, rest, err = parseItem(rest); err != nil {
			err = fmt.Errorf("connection %d of %d: %w", i+1, count, err)
		}
		items = append(items, it)
	}
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes behind the last of %d connections", len(rest), count)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("no parcel: %w", err)
	}
	return sequence, items, nil
}

func parseItem(data []byte) (it item, rest []byte, err error) {
	if len(data) < itemHeader {
		return item{}, nil, fmt.Errorf("%d bytes are left for it", len(data))
	}
	packed, unread := int(binary.LittleEndian.Uint16(data[2:])), int64(binary.LittleEndian.Uint32(data[4:]))
	reserved := data[1]
	it = item{phase: Phase(data[0]), deadline: int64(binary.LittleEndian.Uint64(data[8:]))}
	data = data[itemHeader:]
	switch {
	case it.phase > Header:
		return item{}, nil, fmt.Errorf("phase %d (%v), in which none is given", uint8(it.phase), it.phase)
	case reserved != 0:
		return item{}, nil, fmt.Errorf("%d where there is 0", reserved)
	case packed > packedMax, unread > travelMax:
		return item{}, nil, fmt.Errorf("%d bytes packed and %d unread, more than the %d and %d that may be", packed, unread, packedMax, travelMax)
	case packed+int(unread) > len(data):
		return item{}, nil, fmt.Errorf("%d bytes packed and %d unread, and %d are left", packed, unread, len(data))
	}
	it.packed, data = data[:packed], data[packed:]
	it.unread, data = data[:unread], data[unread:]
	return it, data, nil
}
