"""A thread for each connection, with keep-alive.

    prefork run --workers 4 -- python3 examples/python/threaded.py
"""

import socket
import threading
from http.server import BaseHTTPRequestHandler

import prefork_worker

leaving = threading.Event()
idle = set()  # connections between two requests


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    answered = False

    def handle_one_request(self):
        if self.answered:  # a new connection is not idle: its request is on the way
            idle.add(self.connection)
        if self.answered and leaving.is_set():  # AFTER add: whoever leaves sees this one, or this one sees that
            self.connection.shutdown(socket.SHUT_RD)
        super().handle_one_request()

    def do_GET(self):
        idle.discard(self.connection)
        self.answered = True
        body = prefork_worker.greeting()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if leaving.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(connection, address):
    with connection:
        try:
            Hello(connection, address, None)
        except OSError as error:
            print(f"{address}: {error}", flush=True)  # the client has gone
        finally:
            idle.discard(connection)


threads = []
for connection, address in prefork_worker.connections(prefork_worker.listeners()):
    thread = threading.Thread(target=serve, args=(connection, address))
    thread.start()
    threads = [t for t in threads if t.is_alive()] + [thread]

leaving.set()
for connection in list(idle):
    try:
        connection.shutdown(socket.SHUT_RD)  # it reads the end; what it has to answer it can still write
    except OSError:
        pass
for thread in threads:
    thread.join()
