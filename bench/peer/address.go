package peer

import "net"

// FreeAddress is IP:PORT on loopback where nobody listens now. Somebody may a
// moment later; a server that is then refused says so when it is started.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := l.Addr().String()
	return addr, l.Close()
}
