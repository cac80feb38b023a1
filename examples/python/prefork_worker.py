"""What a worker needs of prefork, in a page of standard library.

prefork follows systemd's conventions: the listening sockets are descriptors 3,
4, … (sd_listen_fds(3)), a worker says that it is ready by a datagram
(sd_notify(3)), and is told to leave by SIGTERM. Nothing here is needed: a
program can do the same by itself.
"""

import os
import select
import signal
import socket


def listeners():
    """Return the listening sockets that were passed on, in the order of `listen`."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise SystemExit("no sockets were passed on: start this by `prefork run -- python3 FILE`")
    return [socket.socket(fileno=3 + n) for n in range(int(os.environ["LISTEN_FDS"]))]


def siblings():
    """Return the siblings' sockets, those of the next slot first (--sibling-fds)."""
    numbers = os.environ.get("PREFORK_SIBLING_FDS", "")
    return [socket.socket(fileno=int(n)) for n in numbers.split(",") if n]


def notify(message):
    """Tell the master something: READY=1, STATUS=…, WATCHDOG=1, STOPPING=1."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect("\0" + path[1:] if path[0] == "@" else path)
            s.sendall(message.encode())


def greeting():
    """Return the answer of every example: who it was that answered."""
    slot, generation = os.environ["PREFORK_SLOT"], os.environ["PREFORK_GENERATION"]
    return f"hello from slot {slot} generation {generation} pid {os.getpid()}\n".encode()


def connections(listeners):
    """Yield (connection, address) until SIGTERM, for programs that block.

    A signal must never interrupt the moment between accept and the first use of
    the connection, so it only writes into a pipe, which is waited for beside the
    sockets. Accept does not block: during a reload the next generation accepts
    from the same sockets and may be faster.
    """
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGTERM, lambda *_: None)
    for listener in listeners:
        listener.setblocking(False)
    notify("READY=1")
    while True:
        ready, _, _ = select.select([wake, *listeners], [], [])
        if wake in ready:
            return
        for listener in ready:
            try:
                connection, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            connection.setblocking(True)
            yield connection, address
