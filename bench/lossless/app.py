"""What the subjects in Python serve: the same as prefork's app trial."""

import os
import random
import time

dice = random.Random(os.getpid())


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/uneven" and dice.random() < 0.2:
        time.sleep(0.04)
    while path == "/spin":
        pass
    # The load generator knows the worker by this line; there are no slots here.
    body = b"hello from slot 0 generation 0 pid %d\n" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
