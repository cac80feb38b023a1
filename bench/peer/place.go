package peer

import (
	"fmt"
	"net"
	"os"
)

// Place is where a server may live.
type Place struct {
	Dir  string // its own
	Addr string // IP:PORT on loopback, free
}

// NewPlace makes a folder inside of dir, which goes when dir does.
func NewPlace(dir string) (Place, error) {
	own, err := os.MkdirTemp(dir, "s")
	if err != nil {
		return Place{}, fmt.Errorf("make a folder for a server: %w", err)
	}
	addr, err := FreeAddress()
	if err != nil {
		return Place{}, fmt.Errorf("find a free port: %w", err)
	}
	return Place{Dir: own, Addr: addr}, nil
}

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
