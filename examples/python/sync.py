"""One connection after the other: the simplest server that there is.

    prefork run --workers 4 -- python3 examples/python/sync.py
"""

from http.server import BaseHTTPRequestHandler

import prefork_worker


class Hello(BaseHTTPRequestHandler):
    timeout = 10  # nobody may hold the only line for longer

    def do_GET(self):
        body = prefork_worker.greeting()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


for connection, address in prefork_worker.connections(prefork_worker.listeners()):
    with connection:
        try:
            Hello(connection, address, None)
        except OSError as error:
            print(f"{address}: {error}", flush=True)  # the client has gone
