package goroutines

import (
	"context"
	"net"
	"net/http"
	"time"
)

// multiplexed is a connection's HTTP/2. The server is its own: see goAway.
type multiplexed struct {
	server *http.Server
	fresh  bool // its first request is still awaited
}

// newHTTP2 makes a server for one connection.
func (e *Engine) newHTTP2() *http.Server {
	s := &http.Server{
		IdleTimeout:    e.config.IdleTimeout,
		MaxHeaderBytes: e.config.MaxHeader,
		Protocols:      new(http.Protocols),
		ErrorLog:       e.server.ErrorLog,
	}
	s.Protocols.SetHTTP2(true)
	_ = s.Serve(noListener{}) // it prepares HTTP/2, and ends for want of connections
	return s
}

// noListener has no connection.
type noListener struct{}

func (noListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (noListener) Close() error              { return nil }
func (noListener) Addr() net.Addr            { return &net.UnixAddr{Name: "prefork", Net: "none"} }

// multiplex speaks HTTP/2, by net/http's own, until the connection ends.
func (c *conn) multiplex() {
	// It is the first header's, which net/http has begun to wait for.
	_ = c.file.SetDeadline(time.Time{}) // fails with the next read as well
	s := c.engine.newHTTP2()
	c.becomeMultiplexed(s)
	patience := time.AfterFunc(c.engine.config.HeaderTimeout, c.becomeStale)
	defer patience.Stop()
	s.TLSNextProto[protocolHTTP2](s, c.secure, requests{conn: c})
}

// requests is the handler of one connection's requests.
type requests struct{ conn *conn }

func (h requests) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.conn.engine.serve(w, r) }

// BaseContext is what HTTP/2 asks a handler for: the context of its requests.
func (h requests) BaseContext() context.Context { return rememberConn(context.Background(), h.conn) }

// becomeStale: nobody waits any longer for a first request.
func (c *conn) becomeStale() {
	c.mu.Lock()
	c.multiplexed.fresh = false
	c.mu.Unlock()
	if c.engine.parting.Load() {
		c.goAway()
	}
}

// goAway ends an HTTP/2 connection in good order: a GOAWAY tells the client which
// requests are answered, and the last answer ends the connection. One that is fresh
// is left alone: its first answer says so (see answer.begin), or else becomeStale.
//
// It is net/http's Shutdown that says GOAWAY, to all connections of a server. Nothing
// else says it to one that rests, hence a server for each. What else Shutdown does
// concerns connections of HTTP/1, and these servers have none.
func (c *conn) goAway() {
	c.mu.Lock()
	m := c.multiplexed
	c.mu.Unlock()
	if m.server != nil && !m.fresh {
		_ = m.server.Shutdown(context.Background()) // it finds nobody to wait for
	}
}
