package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// readByOthers are the permission bits that a key's file should not have.
const readByOthers = 0o004

// certify reads the files of tls-cert and tls-key, for the workers, who may not be
// able to. Like the configuration file they are read at the start and at each reload.
func (l loader) certify(r *config.Resolved) error {
	if !r.Config.TLS() {
		return nil
	}
	chain, _, err := readRegular(l.absolute(r.Config.TLSCert), config.FileMax)
	if err != nil {
		return usagef("%v", r.Refuse("tls-cert", reasonOf(err)))
	}
	key, mode, err := readRegular(l.absolute(r.Config.TLSKey), config.FileMax)
	if err != nil {
		return usagef("%v", r.Refuse("tls-key", reasonOf(err)))
	}
	if err := r.Certify(chain, key, time.Now()); err != nil {
		return usagef("%v", err)
	}
	if mode&readByOthers != 0 {
		doubt := fmt.Sprintf("every user of this machine may read the key in %.100q: take that away with chmod o-r", r.Config.TLSKey)
		r.Config.Certificate.Doubts = append(r.Config.Certificate.Doubts, doubt)
	}
	return nil
}

// readRegular reads a regular file of at most limit bytes, or one byte more of a
// longer one: nobody waits for a pipe's other end, and a reload finds it again.
func readRegular(path string, limit int64) (data []byte, mode os.FileMode, err error) {
	// O_NONBLOCK: opening a pipe would wait for somebody who writes (fifo(7)).
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, err
	case info.IsDir():
		return nil, 0, errFolder
	case !info.Mode().IsRegular():
		return nil, 0, errIrregular
	}
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	return data, info.Mode(), err
}
