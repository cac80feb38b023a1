package reactor

import "golang.org/x/sys/unix"

// descriptorsKept is how many descriptors connections leave free, or a quarter of
// what there is. A worker that has none left cannot be sent anything either: the
// kernel drops descriptors that come with a message and do not fit (unix(7),
// MSG_CTRUNC), and nobody could tell it any more whom to help.
const descriptorsKept = 32

// spareDescriptor is the lowest number of those that are left free. The kernel gives
// the lowest free number to each new descriptor (open(2)), so one from here on tells
// that those below are in use.
func spareDescriptor() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1 << 30 // it cannot fail; accept then finds the end itself
	}
	cur := int(min(limit.Cur, 1<<30))
	return cur - min(descriptorsKept, cur/4)
}

// full tells whether the next connection would take a spare descriptor. It asks the
// kernel, by a copy of any descriptor, only after the last one has.
func (l *Loop) full(any int) bool {
	if !l.crowded {
		return false
	}
	lowest, err := unix.FcntlInt(uintptr(any), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return true
	}
	unix.Close(lowest)
	l.crowded = lowest >= l.spare
	return l.crowded
}
