package listen

import (
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// besideOwn tells whether sockets of this process are in addr's way, so that it
// cannot be claimed and need not be: SO_REUSEPORT lets the new sockets stand
// beside them. What they are for:
//
//	refused, still being drained     the kernel passes them over
//	a part of addr (127.0.0.1 and    they keep their connections until they are
//	now all interfaces)              refused, then addr gets those too
//	more than addr (all interfaces   addr would get connections from the first
//	and now 127.0.0.1)               moment, because the kernel prefers the
//	                                 narrower one: that is an error
//
// A stranger that listens there as well is found by looking, since a claim cannot
// find it.
func besideOwn(addr config.Address, own []*Group) (beside bool, err error) {
	inodes := map[string]bool{}
	for _, g := range own {
		if !g.addr.IsTCP() || !g.addr.Overlaps(addr) {
			continue
		}
		if !g.refused && g.addr.Covers(addr) && g.addr.IP != addr.IP {
			return false, narrowed(addr, g.addr)
		}
		beside = true
		for _, fd := range g.fds {
			inode, err := Inode(fd)
			if err != nil {
				return false, err
			}
			inodes[strconv.FormatUint(inode, 10)] = true
		}
	}
	if !beside {
		return false, nil
	}
	strangers := slices.DeleteFunc(holding(addr), func(s tableSocket) bool { return !s.listening || inodes[s.inode] })
	if len(strangers) > 0 {
		return false, &TakenError{Address: addr.String(), Holder: describe(strangers)}
	}
	return true, nil
}

func narrowed(addr, wide config.Address) error {
	return &refusedError{
		text: fmt.Sprintf("listen on %s: %s serves it now, and connections would come to the narrower address before its workers are ready: "+
			"change the port as well, or restart", addr, wide),
		err: unix.EADDRINUSE,
	}
}
