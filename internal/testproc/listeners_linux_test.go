package testproc

import (
	"net"
	"strings"
	"testing"
)

func TestListeners(t *testing.T) {
	// Not parallel: a process that another test starts has a copy of every
	// descriptor between fork and exec, and the socket would outlive its close.
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	if got := Listeners(t, port); got != 1 {
		t.Errorf("listeners while it listens: got %d, want 1", got)
	}
	check(t, l.Close())
	if got := Listeners(t, port); got != 0 {
		t.Errorf("listeners after close: got %d, want 0", got)
	}
}

func TestCountListeners(t *testing.T) {
	t.Parallel()
	const head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
	tests := map[string]struct {
		table string
		want  int
		err   string
	}{
		"empty":          {table: head},
		"two of a group": {table: head + "0: 0100007F:1F90 00000000:0000 0A 0:0\n1: 0100007F:1F90 00000000:0000 0A 0:0\n", want: 2},
		"IPv6":           {table: head + "0: 00000000000000000000000001000000:1F90 0:0000 0A 0:0\n", want: 1},
		"other port":     {table: head + "0: 0100007F:1F91 00000000:0000 0A 0:0\n"},
		"established":    {table: head + "0: 0100007F:1F90 0100007F:C001 01 0:0\n"},
		"as remote port": {table: head + "0: 0100007F:C001 0100007F:1F90 01 0:0\n"},
		"short line":     {table: head + "0: 0100007F:1F90\n", err: "has 2 fields"},
		"no port":        {table: head + "0: 0100007F 00000000:0000 0A\n", err: "local port"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := countListeners(strings.NewReader(test.table), 8080)
			if got != test.want {
				t.Errorf("count: got %d, want %d", got, test.want)
			}
			if (err == nil) != (test.err == "") || (err != nil && !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error: got %v, want one with %q", err, test.err)
			}
		})
	}
}
