package listen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// The kernel tells about sockets by netlink, to everybody (sock_diag(7)).
const (
	messageHeader = 16 // struct nlmsghdr of <linux/netlink.h>
	diagBufferMax = 64 << 10

	unixDiagRequest = 24 // struct unix_diag_req of <linux/unix_diag.h>
	unixDiagAnswer  = 16 // struct unix_diag_msg
	showQueue       = 16 // UDIAG_SHOW_RQLEN
	queueAttribute  = 4  // UNIX_DIAG_RQLEN

	inetDiagRequest = 56 // struct inet_diag_req_v2 of <linux/inet_diag.h>
	inetDiagAnswer  = 72 // struct inet_diag_msg
	synReceived     = 3  // TCP_SYN_RECV of <net/tcp_states.h>
)

// unixQueue is the accept queue of a listening Unix socket and its limit.
func unixQueue(fd int) (length, limit int, err error) {
	inode, err := Inode(fd)
	if err != nil {
		return 0, 0, err
	}
	request := make([]byte, unixDiagRequest)
	request[0] = unix.AF_UNIX
	order := binary.NativeEndian
	order.PutUint32(request[4:], ^uint32(0))    // udiag_states: all
	order.PutUint32(request[8:], uint32(inode)) // udiag_ino
	order.PutUint32(request[12:], showQueue)    // udiag_show
	order.PutUint64(request[16:], ^uint64(0))   // udiag_cookie: any
	found := false
	err = askDiag(request, 0, func(answer []byte) {
		for rest := answer[min(unixDiagAnswer, len(answer)):]; len(rest) >= 4; {
			size, kind := int(order.Uint16(rest)), order.Uint16(rest[2:])
			if size < 4 || size > len(rest) {
				return
			}
			if kind == queueAttribute && size >= 12 {
				length, limit, found = int(order.Uint32(rest[4:])), int(order.Uint32(rest[8:])), true
			}
			rest = rest[min((size+3)&^3, len(rest)):]
		}
	})
	if err == nil && !found {
		err = errors.New("the kernel did not tell")
	}
	return length, limit, err
}

// HalfOpen lists the clients whose handshake with the port of fd, a listening
// socket of TCP, has begun and not ended. It does not tell with which socket of a
// reuseport group.
func HalfOpen(fd int) (clients []netip.AddrPort, err error) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return nil, fmt.Errorf("list handshakes: %w", os.NewSyscallError("getsockopt SO_DOMAIN", err))
	}
	port, err := portOf(fd)
	if err != nil {
		return nil, fmt.Errorf("list handshakes: %w", err)
	}
	request := make([]byte, inetDiagRequest)
	request[0], request[1] = byte(domain), unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(request[4:], 1<<synReceived) // idiag_states
	binary.BigEndian.PutUint16(request[8:], uint16(port))      // idiag_sport
	err = askDiag(request, unix.NLM_F_DUMP, func(answer []byte) {
		if len(answer) < inetDiagAnswer {
			return
		}
		ip := netip.AddrFrom16([16]byte(answer[24:40])) // idiag_dst
		if answer[0] == unix.AF_INET {
			ip = netip.AddrFrom4([4]byte(answer[24:28]))
		}
		clients = append(clients, netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(answer[6:]))) // idiag_dport
	})
	if err != nil {
		return nil, fmt.Errorf("list handshakes: %w", err)
	}
	return clients, nil
}

// askDiag sends one request and calls each for every message of the answer.
func askDiag(request []byte, flags uint16, each func([]byte)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }() // it was only asked
	message := make([]byte, messageHeader, messageHeader+len(request))
	order := binary.NativeEndian
	order.PutUint32(message, uint32(messageHeader+len(request)))
	order.PutUint16(message[4:], unix.SOCK_DIAG_BY_FAMILY)
	order.PutUint16(message[6:], unix.NLM_F_REQUEST|flags)
	message = append(message, request...)
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buffer := make([]byte, diagBufferMax)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		if done, err := readDiag(buffer[:n], flags, each); done || err != nil {
			return err
		}
	}
}

// readDiag takes a datagram apart; done: nothing more comes.
func readDiag(datagram []byte, flags uint16, each func([]byte)) (done bool, err error) {
	order := binary.NativeEndian
	for len(datagram) >= messageHeader {
		size, kind := int(order.Uint32(datagram)), order.Uint16(datagram[4:])
		if size < messageHeader || size > len(datagram) {
			return true, errors.New("the kernel's answer makes no sense")
		}
		body := datagram[messageHeader:size]
		switch {
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR && len(body) >= 4:
			if errno := -int32(order.Uint32(body)); errno != 0 {
				return true, os.NewSyscallError("sock_diag", unix.Errno(errno))
			}
		case kind == unix.SOCK_DIAG_BY_FAMILY:
			each(body)
		}
		datagram = datagram[min((size+3)&^3, len(datagram)):]
	}
	return flags&unix.NLM_F_DUMP == 0, nil // without a dump there is one answer
}
