package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"prefork/master/config"
)

// route is what one path takes and who answers it.
type route struct {
	method string
	answer func(s *Server, w http.ResponseWriter, r *http.Request, body []byte) error
}

var routes = map[string]route{
	"/v1/status":  {http.MethodGet, (*Server).answerStatus},
	"/v1/events":  {http.MethodGet, (*Server).answerEvents},
	"/healthz":    {http.MethodGet, (*Server).answerHealth},
	"/readyz":     {http.MethodGet, (*Server).answerReady},
	"/v1/reload":  {http.MethodPost, answerCommand(Reload)},
	"/v1/scale":   {http.MethodPost, answerCommand(Scale)},
	"/v1/upgrade": {http.MethodPost, answerCommand(Upgrade)},
	"/v1/stop":    {http.MethodPost, answerCommand(Stop)},
	"/v1/reopen":  {http.MethodPost, answerCommand(Reopen)},
}

type peerKey struct{}

// refusal is an error that carries its HTTP status.
type refusal struct {
	status int
	result string
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, result: ResultRefused, text: fmt.Sprintf(format, args...)}
}

func refuseBusy(format string, args ...any) error {
	return &refusal{status: http.StatusServiceUnavailable, result: ResultBusy, text: fmt.Sprintf(format, args...)}
}

// answer answers one request, and turns every error into an Answer, a panic too.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if bug := recover(); bug != nil {
			s.http.ErrorLog.Printf("panic while answering %s: %v\n%s", r.URL.Path, bug, debug.Stack())
			s.write(w, http.StatusInternalServerError, Answer{Result: ResultFailed, Error: "a bug in the master ended this request: its log says more, please report it"})
		}
	}()
	err := s.try(w, r)
	if err == nil {
		return
	}
	var known *refusal
	if !errors.As(err, &known) {
		known = &refusal{status: http.StatusInternalServerError, result: ResultFailed, text: err.Error()}
	}
	s.write(w, known.status, Answer{Result: known.result, Error: known.text})
}

// try takes a request through all the gates, the cheapest first: who, what, how
// much, and whether there is room.
func (s *Server) try(w http.ResponseWriter, r *http.Request) error {
	if p := r.Context().Value(peerKey{}).(peer); !p.isTrusted() {
		return refuse(http.StatusForbidden, "uid %d may not talk to this master: do it as root, or as uid %d", p.uid, os.Geteuid())
	}
	route, err := findRoute(w, r)
	if err != nil {
		return err
	}
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	giveBack, err := s.takeTurn(r.Context())
	if err != nil {
		return err
	}
	defer giveBack()
	return route.answer(s, w, r, body)
}

func findRoute(w http.ResponseWriter, r *http.Request) (route, error) {
	found, ok := routes[r.URL.Path]
	if !ok {
		if near := config.Suggest(r.URL.Path, slices.Sorted(maps.Keys(routes))); near != "" {
			return route{}, refuse(http.StatusNotFound, "unknown path %.100q: did you mean %s?", r.URL.Path, near)
		}
		return route{}, refuse(http.StatusNotFound, "unknown path %.100q: try /v1/status", r.URL.Path)
	}
	if r.Method != found.method {
		w.Header().Set("Allow", found.method)
		return route{}, refuse(http.StatusMethodNotAllowed, "%s takes %s, not %.20q", r.URL.Path, found.method, r.Method)
	}
	return found, nil
}

// readBody reads the whole body, also of requests that need none: only then does
// net/http watch the connection, and end r's ctx when the client vanishes.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	connection := http.NewResponseController(w)
	if err := connection.SetReadDeadline(time.Now().Add(s.limits.read)); err != nil {
		return nil, fmt.Errorf("bound the time of a request: %w", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes: no command needs as much", bodyMax)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "the body did not come within %s: send it at once", s.limits.read)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the body cannot be read (%v): send it again", err)
	case len(body) > 0 && r.Method == http.MethodGet:
		return nil, refuse(http.StatusBadRequest, "%s takes no body: leave it out", r.URL.Path)
	}
	// Off again, or net/http would take its passing for a client that vanished,
	// while a long command runs.
	return body, connection.SetReadDeadline(time.Time{})
}

// takeTurn waits a moment until one of the clients has been answered.
func (s *Server) takeTurn(ctx context.Context) (giveBack func(), err error) {
	giveBack = func() { <-s.turns }
	select {
	case s.turns <- struct{}{}: // first alone: on a busy machine the timer below may be over at once
		return giveBack, nil
	default:
	}
	wait := time.NewTimer(s.limits.turn)
	defer wait.Stop()
	select {
	case s.turns <- struct{}{}:
		return giveBack, nil
	case <-wait.C:
		return nil, refuseBusy("%d clients are being served, which is the limit: try again in a moment", s.limits.clients)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
