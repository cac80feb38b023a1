package testproc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
)

// stateListen is TCP_LISTEN as /proc/net/tcp prints it (include/net/tcp_states.h).
const stateListen = "0A"

// Listeners counts the TCP sockets that listen on a port, of IPv4 and IPv6, in
// this network namespace, as `ss -ltn` would. Sockets of a reuseport group count
// one each. One that was closed still counts while a process that is just being
// forked has a copy: expect a number to become so with [Await].
func Listeners(t testing.TB, port int) int {
	t.Helper()
	count := 0
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			t.Fatalf("count listeners: %v", err)
		}
		n, err := countListeners(file, port)
		_ = file.Close() // was only read
		if err != nil {
			t.Fatalf("count listeners in %s: %v", path, err)
		}
		count += n
	}
	return count
}

// countListeners reads the table of proc_net_tcp(5):
//
//	sl  local_address rem_address   st …
//	 0: 0100007F:1F90 00000000:0000 0A …
func countListeners(table io.Reader, port int) (int, error) {
	lines := bufio.NewScanner(table)
	lines.Scan() // the headings
	count := 0
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 {
			return 0, fmt.Errorf("line %q has %d fields, want 4 or more", lines.Text(), len(fields))
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		local, err := strconv.ParseUint(hex, 16, 16)
		if err != nil {
			return 0, fmt.Errorf("local port of line %q: %w", lines.Text(), err)
		}
		if fields[3] == stateListen && int(local) == port {
			count++
		}
	}
	return count, lines.Err()
}
