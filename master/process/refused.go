package process

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// refusedError says why a program could not be run, and what to do.
type refusedError struct {
	program, reason string
	code            int // the exec step's exit code
	err             error
}

func (e *refusedError) Error() string { return "cannot run " + e.program + ": " + e.reason }

func (e *refusedError) Unwrap() error { return e.err }

// refuse explains the error of a look-up in PATH or of execve(2), whose errno
// alone often misleads: ENOENT can be about the file, or about its interpreter.
func refuse(program string, err error) error {
	e := &refusedError{program: program, code: CodeNotExecutable, err: err}
	switch {
	case errors.Is(err, exec.ErrNotFound):
		e.code = CodeNotFound
		e.reason = fmt.Sprintf("not found in PATH (%s): install it, or give its full path", os.Getenv("PATH"))
	case errors.Is(err, fs.ErrNotExist):
		e.code = CodeNotFound
		e.reason = explainMissing(program)
	case errors.Is(err, fs.ErrPermission):
		e.reason = explainForbidden(program)
	case errors.Is(err, unix.ENOEXEC):
		e.reason = explainFormat(program)
	case errors.Is(err, unix.ETXTBSY):
		e.reason = "the file is open for writing: put a new version in place by rename, not by writing into it"
	default:
		e.reason = err.Error()
	}
	return e
}

func explainMissing(path string) string {
	switch _, err := os.Stat(path); {
	case err == nil && interpreter(path) != "":
		return fmt.Sprintf("its interpreter %s (first line of the file) is not there", interpreter(path))
	case err == nil:
		return "its dynamic loader is not there: it was built for another system or C library"
	}
	if target, err := os.Readlink(path); err == nil {
		return fmt.Sprintf("it is a link to %s, which is not there: deleted, moved or not yet built", target)
	}
	return "no such file: deleted, moved or not yet built"
}

func explainForbidden(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Sprintf("permission denied (uid %d): a folder on its path may not be entered", os.Geteuid())
	case info.IsDir():
		return "it is a folder, not a program"
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Sprintf("not executable (mode %04o): chmod +x it", info.Mode().Perm())
	}
	return fmt.Sprintf("permission denied (uid %d, mode %04o): check its owner, its interpreter, and the mount option noexec", os.Geteuid(), info.Mode().Perm())
}

func explainFormat(path string) string {
	head := head(path)
	if len(head) == 0 {
		return "the file is empty"
	}
	if machine, ok := elfMachine(head); ok {
		return fmt.Sprintf("built for %s, and this machine is %s", machine, runtime.GOARCH)
	}
	return "neither a program nor a script: a script begins with a line like #!/bin/sh"
}

// headMax is BINPRM_BUF_SIZE of <linux/binfmts.h>: as much as the kernel itself
// looks at to tell what a file is.
const headMax = 256

// head is the beginning of a file, or nothing if it cannot be read.
func head(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // it was only read
	buf := make([]byte, headMax)
	n, _ := io.ReadFull(f, buf) // a short file is a short head
	return buf[:n]
}

// interpreter is the program that a script's #! line names, or empty.
func interpreter(path string) string {
	line, _, _ := bytes.Cut(head(path), []byte("\n"))
	rest, ok := strings.CutPrefix(string(line), "#!")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		return ""
	}
	return fields[0]
}

// elfMachine reads e_machine of an ELF header (elf(5)):
//
//	offset  0  4 bytes  0x7f "ELF"
//	offset  5  1 byte   byte order: 1 little, 2 big
//	offset 18  2 bytes  e_machine
func elfMachine(head []byte) (name string, ok bool) {
	if len(head) < 20 || !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return "", false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	return machineName(order.Uint16(head[18:])), true
}

// machineName gives Go's names, as runtime.GOARCH does, for the usual EM_
// constants of <elf.h>.
func machineName(machine uint16) string {
	names := map[uint16]string{
		3: "386", 8: "mips", 21: "ppc64", 22: "s390x", 40: "arm",
		62: "amd64", 183: "arm64", 243: "riscv64", 258: "loong64",
	}
	if name, ok := names[machine]; ok {
		return name
	}
	return fmt.Sprintf("ELF machine %d", machine)
}
