package listen

import (
	"fmt"
	"syscall"
)

// TakenError says that somebody else has the address. It wraps EADDRINUSE.
type TakenError struct {
	Address string // as the operator wrote it
	// Holder names who has it, "nginx (pid 123)", or says in words why that
	// cannot be told.
	Holder string
}

// Error is a whole sentence for the operator, with what to do.
func (e *TakenError) Error() string {
	return fmt.Sprintf("%s is taken by %s: stop it, or choose another address with --listen", e.Address, e.Holder)
}

// Unwrap makes errors.Is(err, EADDRINUSE) true.
func (e *TakenError) Unwrap() error { return syscall.EADDRINUSE }
