package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// readyStates are the states in which new connections are served.
var readyStates = []string{"serving", "reloading", "upgrading"}

func (s *Server) answerStatus(w http.ResponseWriter, r *http.Request, _ []byte) error {
	status, err := s.backend.Status(r.Context())
	if err != nil {
		return fmt.Errorf("ask for the status: %w", err)
	}
	// An empty list, not null: scripts go through it without asking first.
	if status.Listen == nil {
		status.Listen = []ListenStatus{}
	}
	if status.Workers == nil {
		status.Workers = []WorkerStatus{}
	}
	s.write(w, http.StatusOK, status)
	return nil
}

// answerHealth says yes while the master's loop turns.
func (s *Server) answerHealth(w http.ResponseWriter, r *http.Request, _ []byte) error {
	state, err := s.askState(r.Context())
	if err == nil {
		s.write(w, http.StatusOK, Health{State: state})
	}
	return err
}

// answerReady says yes while new connections are served.
func (s *Server) answerReady(w http.ResponseWriter, r *http.Request, _ []byte) error {
	state, err := s.askState(r.Context())
	switch {
	case err != nil:
		return err
	case slices.Contains(readyStates, state):
		s.write(w, http.StatusOK, Health{State: state})
	default:
		s.write(w, http.StatusServiceUnavailable, Health{State: state})
	}
	return nil
}

func (s *Server) askState(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.health)
	defer cancel()
	status, err := s.backend.Status(ctx)
	if err != nil {
		return "", &refusal{status: http.StatusServiceUnavailable, result: ResultFailed, text: fmt.Sprintf("the master does not answer: %v", err)}
	}
	return status.State, nil
}

func answerCommand(verb Verb) func(*Server, http.ResponseWriter, *http.Request, []byte) error {
	return func(s *Server, w http.ResponseWriter, r *http.Request, body []byte) error {
		command, err := parseCommand(verb, body)
		if err != nil {
			return refuse(http.StatusBadRequest, "%v", err)
		}
		answer, err := s.backend.Do(r.Context(), command)
		if err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		s.write(w, statusOf(answer.Result), answer)
		return nil
	}
}

// statusOf gives the HTTP status of a command's result.
func statusOf(result string) int {
	switch result {
	case ResultOK:
		return http.StatusOK
	case ResultRefused:
		return http.StatusBadRequest
	case ResultBusy:
		return http.StatusConflict
	default:
		return http.StatusInternalServerError
	}
}

// write sends value as JSON. Errors mean that the client has gone, and there is
// nobody left to tell.
func (s *Server) write(w http.ResponseWriter, status int, value any) {
	body, err := encode(value)
	if err != nil {
		status = http.StatusInternalServerError
		body = []byte(`{"result":"failed","error":"the answer cannot be written as JSON"}` + "\n")
	}
	// AFTER the command, however long it took; it also bounds the flush that
	// net/http makes when the handler has returned.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.limits.write))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// encode writes JSON in one line, and leaves <, > and & as they are: people
// read it.
func encode(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return buffer.Bytes(), err
}
