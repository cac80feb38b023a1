package worker

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"prefork/worker/goroutines"
	"prefork/worker/proto"
)

// newGoroutines makes a net/http engine that serves a handler.
func (c engineConfig) newGoroutines(handler http.Handler) (*goroutines.Engine, error) {
	secure, err := tlsConfig(c.settings.TLS)
	if err != nil {
		return nil, err
	}
	engine, err := goroutines.New(goroutines.Config{
		Handler:       handler,
		TLS:           secure,
		IdleTimeout:   c.settings.IdleTimeout,
		HeaderTimeout: c.settings.HeaderTimeout,
		BodyTimeout:   c.settings.BodyTimeout,
		DrainSpread:   c.settings.DrainSpread,
		MaxHeader:     c.settings.MaxHeader,
		MaxBody:       c.settings.MaxBody,
		Identity:      c.identity(),
		Bell:          c.bell,
		Beat:          c.board.Beat,
		Accepted:      c.accepted,
		Helped:        c.helped,
		Requeued:      c.requeued,
		Connections:   c.connections,
		Given:         c.given,
		Taken:         c.taken,
		Finished:      c.finished,
		Cut:           c.cut,
		Answered:      c.answered,
		Report:        c.report,
	})
	if err != nil {
		return nil, fmt.Errorf("make net/http engine: %w", err)
	}
	return engine, nil
}

// answersHandler is an app such as hello for net/http.
type answersHandler struct{ answer proto.Answers }

func (h answersHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", proto.PlainText)
	if !h.readBody(w, r) {
		return
	}
	status, body := h.answer([]byte(r.Method), []byte(r.URL.Path), []byte(r.URL.EscapedPath()))
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", proto.HelloMethods)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone, or it was a HEAD
}

// readBody reads a body that nobody wants, so that one beyond the limit is refused
// as by the reactor. It returns false when there is nothing more to answer.
func (h answersHandler) readBody(w http.ResponseWriter, r *http.Request) bool {
	_, err := io.Copy(io.Discard, r.Body)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		fmt.Fprintf(w, "request body too large: the limit is %d bytes\n", tooLong.Limit)
		return false
	case err != nil:
		panic(http.ErrAbortHandler) // cut off, or too slow: nobody waits for an answer
	}
	return true
}
