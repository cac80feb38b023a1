#!/bin/sh
# Reads the request's header, and answers who it was.
while read -r line && [ "${line%?}" ]; do :; done
body="hello from slot $PREFORK_SLOT generation $PREFORK_GENERATION pid $$"
printf 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n' "$((${#body} + 1))" "$body"
