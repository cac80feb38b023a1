"""Coroutines on one event loop (asyncio), with keep-alive. Needs Python 3.11.

    prefork run --workers 4 -- python3 examples/python/coroutines.py
"""

import asyncio
import signal

import prefork_worker

GRACE = 2  # seconds in which a connection that is kept gets its last answer

leaving = asyncio.Event()
serving = set()  # the task of each connection
idle = set()  # those that wait for another request; the first is always on the way


async def serve(reader, writer):
    task = asyncio.current_task()
    serving.add(task)
    try:
        while True:
            async with asyncio.timeout(10):  # nobody may keep us from leaving
                header = await reader.readuntil(b"\r\n\r\n")
            idle.discard(task)
            last = leaving.is_set() or b"\r\nconnection: close\r\n" in header.lower()
            body = prefork_worker.greeting()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                + (b"Connection: close\r\n" if last else b"")
                + b"Content-Length: %d\r\n\r\n" % len(body)
                + body
            )
            async with asyncio.timeout(10):
                await writer.drain()
            if last:
                break  # and not before the client was told
            idle.add(task)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError, ConnectionError, TimeoutError):
        pass  # the client has gone, or has asked nothing since we began to leave
    finally:
        idle.discard(task)
        serving.discard(task)
        writer.close()


async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, leaving.set)
    sockets = prefork_worker.listeners()
    servers = [await asyncio.start_server(serve, sock=s) for s in sockets]
    prefork_worker.notify("READY=1")
    await leaving.wait()
    # Stop accepting, and let the loop turn until everything that was accepted has
    # its task. Server.close alone would drop what was accepted in this very turn
    # (in Python 3.11, the server refuses to attach it).
    for s in sockets:
        loop.remove_reader(s)
    for _ in range(10):
        await asyncio.sleep(0)
    for server in servers:
        server.close()
    # To close what is idle now would lose the request that is on its way there. So it
    # gets its answer, which says that it is the last one; who asks nothing is closed.
    if serving:
        await asyncio.wait(serving, timeout=GRACE)
    for task in list(idle):
        task.cancel()
    while serving:
        await asyncio.wait(serving)


asyncio.run(main())
