// A worker in Node.js, with nothing but its standard library.
//
//     prefork run --workers 4 -- node examples/node/hello.js
//
// Node cannot send datagrams to a Unix socket, so it does not say READY=1; with
// `ready = "auto"`, the default, it counts as ready when it has lived for a second.
'use strict';
const http = require('node:http');
const net = require('node:net');

const { PREFORK_SLOT: slot, PREFORK_GENERATION: generation, LISTEN_FDS: sockets } = process.env;
if (!sockets) {
  console.error('no sockets were passed on: start this by `prefork run -- node FILE`');
  process.exit(1);
}

const grace = 2000; // ms in which a connection that is kept gets its last answer
const servers = [];
let leaving = false;
for (let n = 0; n < Number(sockets); n++) {
  // A client that connects and says nothing (browsers do) gets five seconds, also
  // when this worker leaves: close() below waits for it.
  const limits = { headersTimeout: 5000, connectionsCheckingInterval: 1000 };
  const server = http.createServer(limits, (request, response) => {
    const body = `hello from slot ${slot} generation ${generation} pid ${process.pid}\n`;
    response.shouldKeepAlive &&= !leaving; // or the answer says Connection: close
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(body) });
    response.end(body);
  });
  servers.push(server.listen({ fd: 3 + n }));
}

// A request may be on its way on a connection that is idle, and http.Server's own
// close() would lose it. So this only stops accepting: the request gets its answer, the
// last one, and who asks nothing is closed after a while. The process ends by itself
// when nothing is left to do.
process.on('SIGTERM', () => {
  leaving = true;
  for (const server of servers) {
    net.Server.prototype.close.call(server);
    setTimeout(() => server.closeIdleConnections(), grace);
  }
});
