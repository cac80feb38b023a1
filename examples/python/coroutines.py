"""Coroutines on one event loop (asyncio), with keep-alive.

    prefork run --workers 4 -- python3 examples/python/coroutines.py
"""

import asyncio
import signal

import prefork_worker

leaving = asyncio.Event()
serving = set()  # the task of each connection
idle = set()  # those that wait for another request; the first is always on the way


async def serve(reader, writer):
    task = asyncio.current_task()
    serving.add(task)
    try:
        while True:
            async with asyncio.timeout(10):
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
            await writer.drain()
            if last or leaving.is_set():
                break
            idle.add(task)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError, ConnectionError, TimeoutError):
        pass  # the client has gone, or this one was idle when we left
    finally:
        idle.discard(task)
        serving.discard(task)
        writer.close()


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)
    servers = [await asyncio.start_server(serve, sock=s) for s in prefork_worker.listeners()]
    prefork_worker.notify("READY=1")
    await leaving.wait()
    for server in servers:
        server.close()
    for task in list(idle):
        task.cancel()
    for _ in range(10):  # turns of the loop, until what was accepted in the last moment has its task
        await asyncio.sleep(0)
    while serving:
        await asyncio.wait(serving)


asyncio.run(main())
