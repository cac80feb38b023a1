package worker

import (
	"crypto/tls"
	"errors"

	"prefork/ipc"
)

// tlsConfig is what the master wants of TLS as crypto/tls needs it; nil: none.
func tlsConfig(s *ipc.TLS) (*tls.Config, error) {
	if s == nil {
		return nil, nil
	}
	pair, err := tls.X509KeyPair([]byte(s.Certificate), []byte(s.Key))
	if err != nil {
		return nil, errors.New("certificate and key from the master make no pair") // err could quote them
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{pair},
		// What is older has been given up by browsers, too (RFC 8996).
		MinVersion: tls.VersionTLS12,
	}
	keys := make([][ipc.TicketKeySize]byte, len(s.TicketKeys))
	for i, key := range s.TicketKeys {
		keys[i] = [ipc.TicketKeySize]byte(key)
	}
	c.SetSessionTicketKeys(keys)
	return c, nil
}
