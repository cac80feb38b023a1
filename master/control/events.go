package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"prefork/master/config"
)

// The wire of events is that of server-sent events (WHATWG HTML, 9.2): an event
// is one line "data: JSON" and an empty line. A stream that ends by itself says
// nothing more; before one that was dropped ends, an event of the type
// droppedType says why.
const (
	droppedType = "dropped"
	// eventMax bounds an event on the wire, so that a client can bound its line.
	eventMax = 64 << 10
	// messageMax bounds the message of an event that was too large.
	messageMax = 1 << 10
)

// answerEvents streams events until the client goes, the master ends, or the
// client does not keep up.
func (s *Server) answerEvents(w http.ResponseWriter, r *http.Request, _ []byte) error {
	since, err := parseSince(r.URL.RawQuery)
	if err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	leave, ok := s.followers.join(cancel)
	if !ok {
		return refuseBusy("%d clients follow the events, which is the limit: end one of them", s.limits.followers)
	}
	defer leave()
	subscription := s.backend.Subscribe(since)
	defer subscription.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	s.stream(ctx, w, subscription)
	return nil
}

// parseSince reads the query of /v1/events.
func parseSince(rawQuery string) (time.Duration, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return 0, fmt.Errorf("the query %.100q cannot be read: write for example ?since=10s", rawQuery)
	}
	for key := range query {
		if key != "since" {
			return 0, fmt.Errorf("unknown key %.40q in the query: write for example ?since=10s", key)
		}
	}
	if !query.Has("since") {
		return 0, nil
	}
	since, err := time.ParseDuration(query.Get("since"))
	if err != nil || since < 0 || since > config.TimeoutMax {
		return 0, fmt.Errorf("since is %.40q: write a time like 10s or 5m, up to %s", query.Get("since"), config.TimeoutMax)
	}
	return since, nil
}

// stream passes events on. It returns when there is nobody to write to or
// nothing more to write; a client that does not read ends it by the deadline.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, subscription Subscription) {
	if err := s.writeEvent(w, nil); err != nil { // the header, so that the client knows that it follows
		return
	}
	for {
		event, err := subscription.Next(ctx)
		if errors.Is(err, ErrSlow) {
			_ = s.writeEvent(w, encodeDropped()) // the stream ends either way
		}
		if err != nil {
			return
		}
		if err := s.writeEvent(w, encodeEvent(event)); err != nil {
			return
		}
	}
}

func (s *Server) writeEvent(w http.ResponseWriter, event []byte) error {
	connection := http.NewResponseController(w)
	if err := connection.SetWriteDeadline(time.Now().Add(s.limits.write)); err != nil {
		return err
	}
	if _, err := w.Write(event); err != nil {
		return err
	}
	return connection.Flush()
}

// encodeEvent writes an event for the wire. One whose fields are too large, or
// not JSON, goes without them: better less than a broken stream.
func encodeEvent(e Event) []byte {
	body, err := encode(e)
	if err != nil || len(body) > eventMax {
		e.Message = strings.ToValidUTF8(e.Message[:min(len(e.Message), messageMax)], "")
		e.Level = e.Level[:min(len(e.Level), messageMax)]
		e.Fields = map[string]any{"left_out": "the fields of this event cannot be sent"}
		body, err = encode(e)
	}
	if err != nil { // a year beyond 9999; nothing else is left that could fail
		return nil
	}
	return frame("", body)
}

func encodeDropped() []byte {
	body, err := encode(Event{Time: time.Now(), Level: "warning", Message: "this follower is dropped: " + ErrSlow.Error()})
	if err != nil {
		return nil
	}
	return frame(droppedType, body)
}

// frame makes a server-sent event; body is one line with its newline.
func frame(kind string, body []byte) []byte {
	var framed bytes.Buffer
	if kind != "" {
		framed.WriteString("event: " + kind + "\n")
	}
	framed.WriteString("data: ")
	framed.Write(body)
	framed.WriteString("\n")
	return framed.Bytes()
}
