// Answers every request with one body: node hello.js HOST PORT BODY
"use strict";

const [host, port, body] = process.argv.slice(2);
const head = { "Content-Type": "text/plain; charset=utf-8", "Content-Length": Buffer.byteLength(body) };

const server = require("http").createServer((request, response) => {
  response.writeHead(200, head);
  response.end(body);
});
// It would close a connection that is idle for five seconds.
server.keepAliveTimeout = 3600 * 1000;
server.listen(Number(port), host);
