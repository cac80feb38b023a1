package control

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config is what a Server needs. All fields but Report are required.
type Config struct {
	Path    string  // of the control socket
	Lock    *Lock   // held, by TakeLock, until after Shutdown; it stays the caller's
	Backend Backend // answers; see there
	// Report receives what no client can use: accepting is paused for want of
	// descriptors, or a panic with its stack. It may be called from any
	// goroutine. nil: such texts are lost.
	Report func(text string)
}

// limits bound what clients can take of the master. Tests lower them.
type limits struct {
	connections int           // at once; the others wait in the kernel's queue
	clients     int           // requests that are being answered at once
	followers   int           // of these, followers of events: they stay, commands must get through
	turn        time.Duration // how long a request waits to become one of the clients
	read        time.Duration // for a header, and again for a body
	write       time.Duration // for an answer, and for each event
	health      time.Duration // for the Backend to show that its loop turns
	grace       time.Duration // for the goroutines to end after Shutdown's ctx has
}

func defaultLimits() limits {
	return limits{
		connections: 256,
		clients:     64,
		followers:   32,
		turn:        time.Second,
		read:        5 * time.Second,
		write:       5 * time.Second,
		health:      2 * time.Second,
		grace:       time.Second,
	}
}

const (
	headerMax = 8 << 10
	bodyMax   = 4 << 10
	// headerSlop is what net/http adds to MaxHeaderBytes on its own
	// (net/http: Server.initialReadLimitSize).
	headerSlop = 4 << 10
)

// Server answers operators on a control socket. Its methods may be called from
// any goroutine.
type Server struct {
	backend   Backend
	limits    limits
	socket    *socket
	http      *http.Server
	turns     chan struct{} // has room for limits.clients
	followers followers
	endedC    chan struct{} // closed when no connection is accepted any more
	open      sync.WaitGroup
}

// Serve binds the control socket and begins to answer. After an error nothing
// is left behind. The caller ends the server with Shutdown.
func Serve(config Config) (*Server, error) {
	return serve(config, defaultLimits())
}

func serve(config Config, limits limits) (*Server, error) {
	if config.Lock == nil || config.Backend == nil {
		return nil, errors.New("serve control socket: a Lock and a Backend are required")
	}
	socket, err := bindSocket(config.Path)
	if err != nil {
		return nil, err
	}
	s := &Server{
		backend: config.Backend, limits: limits, socket: socket,
		turns: make(chan struct{}, limits.clients), followers: newFollowers(limits.followers),
		endedC: make(chan struct{}),
	}
	s.http = s.newHTTPServer(config.Report)
	go func() {
		defer close(s.endedC)
		// Serve retries what a lack of descriptors or memory causes, and says so
		// through ErrorLog.
		err := s.http.Serve(newListener(socket.listener, limits.connections))
		if !errors.Is(err, http.ErrServerClosed) {
			s.http.ErrorLog.Printf("control socket %s: no longer accepting: %v", config.Path, err)
		}
	}()
	return s, nil
}

// Shutdown takes the socket away, ends the followers' streams, and waits for the
// commands that are being carried out. When ctx ends first, their connections
// are cut, and the error says so. It returns when every goroutine has ended, or
// with an error that counts on a Backend which does not let go.
func (s *Server) Shutdown(ctx context.Context) error {
	removed := s.socket.remove()
	s.followers.endAll()
	err := s.http.Shutdown(ctx)
	if err != nil {
		// A request whose connection is closed sees its ctx end.
		err = fmt.Errorf("wait for clients of the control socket: %w", errors.Join(err, s.http.Close()))
	}
	return errors.Join(removed, err, s.waitForGoroutines())
}

func (s *Server) newHTTPServer(report func(string)) *http.Server {
	server := &http.Server{
		Handler: http.HandlerFunc(s.answer),
		// net/http would answer "OPTIONS *" itself, without asking who the peer is.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            s.limits.read,
		MaxHeaderBytes:               headerMax - headerSlop,
		ErrorLog:                     log.New(reporter(report), "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, c.(*connection).peer)
		},
		ConnState: s.countConnections,
	}
	// An idle connection would hold a place, and connecting to a Unix socket
	// costs next to nothing.
	server.SetKeepAlivesEnabled(false)
	return server
}

// countConnections makes Shutdown wait for the goroutine of each connection:
// net/http reports StateNew BEFORE it starts one, from the goroutine that
// accepts, and StateClosed as the last thing in it.
func (s *Server) countConnections(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Add(1)
	case http.StateClosed:
		s.open.Done()
	}
}

func (s *Server) waitForGoroutines() error {
	goneC := make(chan struct{})
	go func() {
		<-s.endedC // from here on none is added
		s.open.Wait()
		close(goneC)
	}()
	grace := time.NewTimer(s.limits.grace)
	defer grace.Stop()
	select {
	case <-goneC:
		return nil
	case <-grace.C:
		return fmt.Errorf("a request on the control socket does not end: the backend has kept it for %s after its ctx ended", s.limits.grace)
	}
}

// reporter lets net/http, which wants a log, say what it has to say.
type reporter func(text string)

func (report reporter) Write(text []byte) (int, error) {
	if report != nil {
		report(strings.TrimSpace(string(text)))
	}
	return len(text), nil
}
