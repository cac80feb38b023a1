package reactor

import (
	"bytes"
	"reflect"
	"testing"
	"unsafe"
)

// The wire is spoken by two versions of this program during an upgrade: it does not
// change without wireVersion.
func TestWireIsPinned(t *testing.T) {
	t.Parallel()
	got := parcelOf(0x01020304, item{phase: Header, deadline: 5, packed: []byte("p"), unread: []byte("un")}, item{})
	want := []byte("PFhp\x01\x00\x02\x00\x04\x03\x02\x01" +
		"\x01\x00\x01\x00\x02\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00pun" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	if !bytes.Equal(got, want) {
		t.Errorf("parcel %q, want %q", got, want)
	}
	got = acknowledgement{0x01020304, 253}.encode()
	if want := []byte("PFha\x01\x00\xfd\x00\x04\x03\x02\x01"); !bytes.Equal(got, want) {
		t.Errorf("acknowledgement %q, want %q", got, want)
	}
}

// FuzzParcel: what the decoder takes for a parcel is one, and it is all of it.
func FuzzParcel(f *testing.F) {
	f.Add(parcelOf(1, item{}))
	f.Add(parcelOf(2, item{phase: Header, unread: []byte("GET / HTT")}, item{packed: []byte("p"), deadline: -1}))
	f.Add(acknowledgement{3, 4}.encode())
	f.Add([]byte(parcelMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := parseAcknowledgement(data); err == nil && !bytes.Equal(a.encode(), data) {
			t.Errorf("acknowledgement %q is decoded to %+v", data, a)
		}
		sequence, items, err := parseParcel(data, nil)
		if err != nil {
			if len(items) > 0 {
				t.Errorf("%d connections beside error %v", len(items), err)
			}
			return
		}
		for i, it := range items {
			if it.phase > Header || len(it.packed) > packedMax || len(it.unread) > travelMax {
				t.Errorf("connection %d: phase %v, %d packed, %d unread", i, it.phase, len(it.packed), len(it.unread))
			}
		}
		if again := parcelOf(sequence, items...); len(again) != len(data) {
			t.Errorf("%d bytes are decoded to %d", len(data), len(again))
		}
		_, same, err := parseParcel(parcelOf(sequence, items...), nil)
		if err != nil || !reflect.DeepEqual(same, items) {
			t.Errorf("%+v becomes %+v, %v", items, same, err)
		}
	})
}

// There may be 100,000 of them that do nothing.
func TestConnHasNotGrown(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(conn{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 96 {
		t.Errorf("a connection has %d bytes, want 96 at most", size)
	}
}
