"""One connection after the other, also those that wait for a sibling.

    prefork run --workers 4 --sibling-fds -- python3 examples/python/helping.py

A worker that is busy, stuck or dead keeps nobody waiting: the kernel wakes a
sibling that has nothing to do. docs/CONFIGURATION.md, "Siblings' sockets", says why
each step below is there.
"""

import errno
import os
import select
import signal
import time

import prefork_worker

SWEEP = 1.0  # seconds: how long a connection waits at most that nobody was woken for


def take(listener):
    """Return a waiting connection, or None: a sibling may have been faster."""
    try:
        return listener.accept()[0]
    except OSError as error:
        if error.errno == errno.EINVAL:  # its slot has gone
            forget(listener)
        elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
            print(f"accept: {error}", flush=True)
        return None


def answer(connection):
    """Serve one request. Nobody may hold the only line for longer than ten seconds."""
    with connection:
        connection.settimeout(10)
        header = b""
        try:
            while b"\r\n\r\n" not in header and len(header) < 8192:
                piece = connection.recv(4096)
                if not piece:
                    return
                header += piece
            body = prefork_worker.greeting()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        except OSError as error:
            print(f"the client has gone: {error}", flush=True)


def watch(listener):
    watched[listener.fileno()] = listener
    poller.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)


def forget(listener):
    if watched.pop(listener.fileno(), None):
        poller.unregister(listener)


def sweep():
    """Serve one connection of each queue, and tell whether there was any."""
    connections = [c for listener in list(watched.values()) if (c := take(listener))]
    for connection in connections:
        answer(connection)
    return bool(connections)


def step_behind():
    """Let the owners go first: the kernel asks whoever came first, and they may be new."""
    for sibling in siblings:
        if watched.get(sibling.fileno()):
            forget(sibling)
            watch(sibling)


siblings = prefork_worker.siblings()
watched, poller = {}, select.epoll()
for listener in prefork_worker.listeners() + siblings:
    watch(listener)

# A signal only writes into a pipe: it must not come between accept and the answer.
wake, woken = os.pipe()
os.set_blocking(woken, False)
signal.set_wakeup_fd(woken)
signal.signal(signal.SIGTERM, lambda *_: None)
poller.register(wake, select.EPOLLIN)
prefork_worker.notify("READY=1")

leaving, swept = False, time.monotonic()
while not leaving:
    patience = max(0, swept + SWEEP - time.monotonic())
    for fd, event in poller.poll(patience, maxevents=1):  # one: siblings may have the others
        listener = watched.get(fd)
        leaving = fd == wake
        if listener and event & select.EPOLLHUP:
            forget(listener)
        elif listener and (connection := take(listener)):
            answer(connection)
    if time.monotonic() - swept >= SWEEP and not sweep():
        step_behind()
        swept = time.monotonic()

for listener in watched.values():
    poller.unregister(listener)  # BEFORE the last looks: nobody wakes us any more
end = time.monotonic() + 5  # whoever comes after us accepts there, too
while sweep() and time.monotonic() < end:
    pass
