package listen

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"prefork/master/config"
)

// holder names who has addr, as well as this user can see it. It reads /proc and
// is for the path of an error only.
func holder(addr config.Address) string {
	return describe(holding(addr))
}

func describe(sockets []tableSocket) string {
	if len(sockets) == 0 {
		// A socket that is bound and does not listen is in no table.
		return "a process that the kernel does not name"
	}
	if name, ok := processOf(sockets); ok {
		return name
	}
	if os.Geteuid() != 0 {
		return fmt.Sprintf("a process of user id %d that only root may look into (\"ss -ltnp\" as root names it)", sockets[0].uid)
	}
	return fmt.Sprintf("a process of user id %d that is not visible from here, perhaps in another container", sockets[0].uid)
}

// tableSocket is a line of /proc/net/tcp or tcp6 (proc_net_tcp.rst in the
// kernel's documentation).
type tableSocket struct {
	local     netip.AddrPort
	listening bool
	uid       int
	inode     string
}

// holding lists the sockets that keep addr from being bound, listening ones first.
func holding(addr config.Address) []tableSocket {
	var found []tableSocket
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for _, s := range readTable(table) {
			if int(s.local.Port()) == addr.Port && overlap(s.local.Addr(), addr.IP) {
				found = append(found, s)
			}
		}
	}
	slices.SortStableFunc(found, listeningFirst)
	return found
}

func listeningFirst(a, b tableSocket) int {
	switch {
	case a.listening == b.listening:
		return 0
	case a.listening:
		return -1
	}
	return 1
}

// overlap tells whether sockets on a and b can be in each other's way.
func overlap(a, b netip.Addr) bool {
	a, b = a.Unmap(), b.Unmap()
	return a == b || covers(a, b) || covers(b, a)
}

// covers tells whether a is a wildcard for b's family: :: is for both.
func covers(a, b netip.Addr) bool {
	return a.IsUnspecified() && (a.Is6() || b.Is4())
}

// readTable gives the sockets of a table that still belong to somebody. A table
// that cannot be read is empty: the caller then says that it does not know.
func readTable(path string) []tableSocket {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // it was only read
	var sockets []tableSocket
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if s, ok := parseRow(lines.Text()); ok {
			sockets = append(sockets, s)
		}
	}
	return sockets
}

// parseRow reads one line:
//
//	sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//	 0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 12345 …
//
// What has no inode has no holder either: TIME_WAIT, and what a closed socket
// still has to send.
func parseRow(row string) (tableSocket, bool) {
	const (
		columnLocal, columnState, columnUID, columnInode = 1, 3, 7, 9
		stateListen                                      = "0A"
		noInode                                          = "0"
	)
	columns := strings.Fields(row)
	if len(columns) <= columnInode || columns[columnInode] == noInode {
		return tableSocket{}, false
	}
	local, errLocal := parseEndpoint(columns[columnLocal])
	uid, errUID := strconv.Atoi(columns[columnUID])
	if errors.Join(errLocal, errUID) != nil {
		return tableSocket{}, false // the heading
	}
	return tableSocket{local, columns[columnState] == stateListen, uid, columns[columnInode]}, true
}

// parseEndpoint reads "0100007F:1F90": the address as 32-bit words in the byte
// order of the machine, then the port as a plain number.
func parseEndpoint(text string) (netip.AddrPort, error) {
	rawAddr, rawPort, _ := strings.Cut(text, ":")
	words, err := hex.DecodeString(rawAddr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for i := 0; i+4 <= len(words); i += 4 {
		binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
	}
	addr, ok := netip.AddrFromSlice(words)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("address of %d bytes", len(words))
	}
	port, err := strconv.ParseUint(rawPort, 16, 16)
	return netip.AddrPortFrom(addr, uint16(port)), err
}

// processOf names the process that has one of the sockets, in the order of the
// sockets. Of several with the same one, a server's master and its workers, it
// names the lowest PID.
func processOf(sockets []tableSocket) (name string, ok bool) {
	owners := map[string]int{}
	for _, s := range sockets {
		owners["socket:["+s.inode+"]"] = 0
	}
	for _, pid := range processes() {
		findOwned(pid, owners)
	}
	for _, s := range sockets {
		if pid := owners["socket:["+s.inode+"]"]; pid != 0 {
			return fmt.Sprintf("%s (pid %d)", commandOf(pid), pid), true
		}
	}
	return "", false
}

// findOwned puts pid down as owner of those of its sockets that have none yet.
func findOwned(pid int, owners map[string]int) {
	folder := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, _ := os.ReadDir(folder) // gone, or not ours to look into
	for _, e := range entries {
		target, _ := os.Readlink(folder + e.Name()) // closed since
		if owner, wanted := owners[target]; wanted && owner == 0 {
			owners[target] = pid
		}
	}
}

// processes lists the PIDs of all processes in ascending order.
func processes() []int {
	entries, _ := os.ReadDir("/proc") // without it nothing can be named
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

func commandOf(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "a process that has just ended"
	}
	return strings.TrimSpace(string(name))
}
