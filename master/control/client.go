package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"
)

const (
	// statusTimeout bounds a question that the master answers at once.
	statusTimeout = 10 * time.Second
	// answerMargin is what a command may take beyond the time it was given.
	answerMargin = 10 * time.Second
	// commandTimeout bounds a command that was given no time. The master has
	// bounds of its own, which the operator may have set high.
	commandTimeout = 10 * time.Minute
	// responseMax bounds what a client reads: the status of 1,024 slots with two
	// workers each has about 1 MiB.
	responseMax = 16 << 20
)

// ErrNoMaster says that no master listens: there is no socket, or nobody behind
// it. Test with errors.Is.
var ErrNoMaster = errors.New("no master")

// Client talks to the master behind a control socket. It holds no connection
// between two calls and needs no Close. Its methods may be called from any
// goroutine.
//
// A ctx without a deadline gets one: ten seconds for Status; for Do the
// command's Timeout and ten seconds, or ten minutes when it has none; for Events
// ten seconds until the stream begins.
type Client struct {
	path     string
	http     *http.Client
	patience time.Duration // statusTimeout; tests lower it
}

// Dial makes a client for the socket at path. It does not connect yet.
func Dial(path string) *Client {
	c := &Client{path: path, patience: statusTimeout}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.connect(ctx) },
		DisableKeepAlives: true,
	}}
	return c
}

// Status asks how things stand.
func (c *Client) Status(ctx context.Context) (Status, error) {
	ctx, cancel := withDefaultTimeout(ctx, c.patience)
	defer cancel()
	status, body, err := c.call(ctx, http.MethodGet, "/v1/status", nil)
	if err != nil {
		return Status{}, err
	}
	if status != http.StatusOK {
		answer, err := decodeAnswer(status, body)
		if err == nil {
			err = errors.New(answer.Error)
		}
		return Status{}, fmt.Errorf("ask the master for its status: %w", err)
	}
	var s Status
	if err := json.Unmarshal(body, &s); err != nil {
		return Status{}, fmt.Errorf("read the master's status: %w", err)
	}
	return s, nil
}

// Do has a command carried out. Whatever the master answers, a refusal too, is
// an Answer and no error; an error means that the outcome is not known.
func (c *Client) Do(ctx context.Context, command Command) (Answer, error) {
	bound := commandTimeout
	if command.Timeout > 0 {
		bound = command.Timeout + answerMargin
	}
	ctx, cancel := withDefaultTimeout(ctx, bound)
	defer cancel()
	request, err := command.body()
	if err != nil {
		return Answer{}, fmt.Errorf("write command %s: %w", command.Verb, err)
	}
	status, body, err := c.call(ctx, http.MethodPost, "/v1/"+string(command.Verb), request)
	if err != nil {
		return Answer{}, err
	}
	return decodeAnswer(status, body)
}

// Events follows the events of the last `since` and then live ones. ctx ends the
// whole stream, and so does the ctx of a Next that ends while it waits. The
// caller closes the subscription.
func (c *Client) Events(ctx context.Context, since time.Duration) (Subscription, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	// Only the beginning of the stream has a deadline; then it may last.
	late := time.AfterFunc(c.patience, func() { cancel(context.DeadlineExceeded) })
	response, err := c.send(ctx, http.MethodGet, "/v1/events?since="+url.QueryEscape(since.String()), nil)
	late.Stop() // too late it is only in the moment of success; then the first Next says so
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.Join(refusedStream(response), response.Body.Close())
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	return newStream(response.Body, func() { cancel(nil) }), nil
}

func refusedStream(response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, responseMax))
	if err != nil {
		return fmt.Errorf("ask the master for its events: %w", err)
	}
	answer, err := decodeAnswer(response.StatusCode, body)
	if err == nil {
		err = errors.New(answer.Error)
	}
	return fmt.Errorf("ask the master for its events: %w", err)
}

func (c *Client) call(ctx context.Context, method, target string, request []byte) (status int, body []byte, err error) {
	response, err := c.send(ctx, method, target, request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, responseMax))
	if err != nil {
		return 0, nil, c.explain(ctx, err)
	}
	return response.StatusCode, body, nil
}

func (c *Client) send(ctx context.Context, method, target string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://prefork"+target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request %s: %w", target, err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return response, nil
}

// connect reaches the master, and makes sure that it is no stranger who listens
// in its place, for example in a folder of /tmp that was occupied first.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	if err := checkSocketPath(c.path); err != nil {
		return nil, err
	}
	var dialer net.Dialer
	connected, err := dialer.DialContext(ctx, "unix", c.path)
	if err != nil {
		return nil, err
	}
	uid, err := peerUID(connected.(*net.UnixConn))
	if err == nil && os.Geteuid() != 0 && !isTrusted(uid) {
		err = fmt.Errorf("uid %d listens there, who is neither you nor root: name another socket with --control", uid)
	}
	if err != nil {
		return nil, errors.Join(err, connected.Close())
	}
	return connected, nil
}

// explain tells the operator what an error on the way means, and what to do.
func (c *Client) explain(ctx context.Context, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // its text would show a URL that the operator never wrote
	}
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w listens on %s: start one with prefork run, or name another with --name or --control", ErrNoMaster, c.path)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("control socket %s: %w: do it as root, or as the user of the master", c.path, syscall.EACCES)
	case errors.Is(err, syscall.EAGAIN): // connect(2) on a Unix socket whose queue is full
		return fmt.Errorf("control socket %s: too many clients wait there: try again in a moment", c.path)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return fmt.Errorf("no answer from the master on %s in time: it may still be at it, so look at prefork status: %w", c.path, context.DeadlineExceeded)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("the master on %s ended before it answered: %w", c.path, err)
	}
	return fmt.Errorf("talk to the master on %s: %w", c.path, err)
}

func decodeAnswer(status int, body []byte) (Answer, error) {
	var answer Answer
	if err := json.Unmarshal(body, &answer); err != nil || answer.Result == "" {
		return Answer{}, fmt.Errorf("the master's answer (HTTP %d) is none that this version knows: %.100q", status, body)
	}
	return answer, nil
}

// withDefaultTimeout leaves a deadline that ctx has as it is.
func withDefaultTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}
