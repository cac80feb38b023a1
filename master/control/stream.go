package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// stream is the client's end of /v1/events.
type stream struct {
	body   io.ReadCloser
	lines  *bufio.Scanner
	cancel context.CancelFunc // ends the request
	close  sync.Once
}

func newStream(body io.ReadCloser, cancel context.CancelFunc) *stream {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, eventMax+len("data: "))
	return &stream{body: body, lines: lines, cancel: cancel}
}

// Next implements Subscription. A stream that broke in the middle gives
// io.ErrUnexpectedEOF: the master was killed, or it could not write to us for so
// long that it could not tell us that either.
func (s *stream) Next(ctx context.Context) (Event, error) {
	stop := context.AfterFunc(ctx, s.cancel)
	defer stop()
	kind, data, err := readFrame(s.lines)
	switch {
	case ctx.Err() != nil:
		return Event{}, ctx.Err()
	case errors.Is(err, io.EOF):
		return Event{}, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Event{}, fmt.Errorf("follow the master's events: the stream broke off, because the master was killed or these events were not read for a while: %w", err)
	case err != nil:
		return Event{}, fmt.Errorf("follow the master's events: %w", err)
	case kind == droppedType:
		return Event{}, ErrSlow
	}
	var event Event
	if err := json.Unmarshal(data, &event); err != nil {
		return Event{}, fmt.Errorf("read an event: %w", err)
	}
	return event, nil
}

func (s *stream) Close() {
	s.close.Do(func() {
		s.cancel()
		_ = s.body.Close() // nothing was written
	})
}

// readFrame reads one server-sent event: lines up to an empty one. Comments, and
// fields that we do not send, are skipped. It returns io.EOF at the end, also
// in the middle of an event, which then does not count.
func readFrame(lines *bufio.Scanner) (kind string, data []byte, err error) {
	for lines.Scan() {
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(lines.Bytes()) == 0 && data != nil:
			return kind, data, nil
		case string(name) == "event":
			kind = string(value)
		case string(name) == "data":
			data = bytes.Clone(value)
		}
	}
	if err := lines.Err(); err != nil {
		return "", nil, err
	}
	return "", nil, io.EOF
}
