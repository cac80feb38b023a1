package steer

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// random is where a load finds a random number in place of a packet's bytes:
// SKF_AD_OFF + SKF_AD_RANDOM of <linux/filter.h>.
const random = 0xfffff000 + 56

// Program answers with the index of a random one of live, each with the same
// chance. live is in ascending order and not empty. The program takes three
// instructions for each run of neighbours:
//
//	A = random % len(live)               0 1 2 3 4    for live 2 3 7 8 9
//	if A < 2  return A + 2               2 3
//	if A < 5  return A + 5                   7 8 9
//
// The longest, every other one of 2,048 sockets, has 3,074 of the 4,096
// instructions that the kernel takes (BPF_MAXINSNS).
func Program(live []int) []unix.SockFilter {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: random},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(len(live))},
	}
	for begin := 0; begin < len(live); {
		end := begin + 1
		for end < len(live) && live[end] == live[end-1]+1 {
			end++
		}
		if end < len(live) { // the last run takes whatever is left
			program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: uint32(end), Jt: 2})
		}
		program = append(program,
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K, K: uint32(live[begin] - begin)},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_A})
		begin = end
	}
	return program
}

// Attach makes Program(live) choose for the whole group of fd. It replaces the
// program that is there; no connection is lost meanwhile.
func Attach(fd int, live []int) error {
	program := Program(live)
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return fmt.Errorf("attach program for %d of the sockets on one address: %w", len(live), os.NewSyscallError("setsockopt SO_ATTACH_REUSEPORT_CBPF", err))
	}
	return nil
}

// Detach lets the kernel's hash choose among all sockets of fd's group again.
func Detach(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
	if err == unix.ENOENT { // there was none
		return nil
	}
	return os.NewSyscallError("setsockopt SO_DETACH_REUSEPORT_BPF", err)
}
