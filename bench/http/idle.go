package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"prefork/bench/peer"
)

const (
	// idlePatience bounds one connection: to be made, asked over and answered.
	idlePatience = 5 * time.Second
	// leavePatience is how long a server has to close what its clients have closed.
	leavePatience = 20 * time.Second
	// lookPeriod is the time between two looks at something that has no event.
	lookPeriod = 5 * time.Millisecond
	// descriptorsStray is how many a server may open meanwhile for itself.
	descriptorsStray = 16
	// descriptorsSpare is for everything that is no connection of an idle client.
	descriptorsSpare = 1024
)

// measureIdle returns what a connection that has been used and waits costs a
// server. The connections come twice: what the server has got for the first ones
// and keeps when they go costs nothing for the others.
func (l *lab) measureIdle(ctx context.Context, p *peer.Process) (sample, error) {
	var got memory
	for _, step := range []struct {
		look func() (int64, error)
		into *int64
	}{
		{p.Anonymous, &got.fresh},
		{func() (int64, error) { return l.hold(ctx, p) }, &got.first},
		{p.Anonymous, &got.emptied},
		{func() (int64, error) { return l.hold(ctx, p) }, &got.again},
	} {
		var err error
		if *step.into, err = step.look(); err != nil {
			return sample{}, err
		}
	}
	return got.sample(l.size.connections), nil
}

// memory is that of a server, in bytes: as it started, with its first connections,
// without them again, and with others.
type memory struct{ fresh, first, emptied, again int64 }

func (m memory) sample(connections int) sample {
	each := float64(connections)
	return sample{value: float64(m.again-m.emptied) / each, first: float64(m.first-m.fresh) / each}
}

// hold makes connections, uses each once, and returns the memory of the server
// while they wait. It returns when the server has closed all of them again.
func (l *lab) hold(ctx context.Context, p *peer.Process) (bytes int64, err error) {
	before, err := p.Descriptors()
	if err != nil {
		return 0, err
	}
	var held []net.Conn
	defer func() {
		for _, c := range held {
			err = errors.Join(err, c.Close())
		}
		if err == nil {
			err = awaitDescriptors(ctx, p, before+descriptorsStray)
		}
	}()
	input := bufio.NewReader(nil)
	for range l.size.connections {
		c, err := use(ctx, p.Addr(), input)
		if err != nil {
			return 0, fmt.Errorf("connection %d of %d: %w", len(held)+1, l.size.connections, err)
		}
		held = append(held, c)
	}
	if now, err := p.Descriptors(); err != nil || now < len(held) {
		return 0, errors.Join(err, fmt.Errorf("the server holds %d descriptors, which are not %d connections", now, len(held)))
	}
	return p.Anonymous()
}

// use makes a connection and asks over it once. The reader is used again and again.
func use(ctx context.Context, addr string, input *bufio.Reader) (net.Conn, error) {
	dialer := net.Dialer{Timeout: idlePatience, KeepAlive: -1}
	c, err := dialer.DialContext(ctx, "tcp4", addr)
	if err != nil {
		return nil, err
	}
	if err := ask(c, addr, input); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func ask(c net.Conn, addr string, input *bufio.Reader) error {
	if err := c.SetDeadline(time.Now().Add(idlePatience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+addr+"\r\n\r\n"); err != nil {
		return err
	}
	input.Reset(c)
	answer, err := http.ReadResponse(input, nil)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if answer.StatusCode != http.StatusOK || answer.Close {
		return fmt.Errorf("answer %s, closing: %v; want 200 and a connection that stays", answer.Status, answer.Close)
	}
	return nil
}

// awaitDescriptors waits until a server holds at most so many descriptors.
func awaitDescriptors(ctx context.Context, p *peer.Process, most int) error {
	ctx, cancel := context.WithTimeout(ctx, leavePatience)
	defer cancel()
	ticker := time.NewTicker(lookPeriod)
	defer ticker.Stop()
	for {
		now, err := p.Descriptors()
		if err != nil || now <= most {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the server to close connections: it holds %d descriptors, want %d at most: %w", now, most, ctx.Err())
		}
	}
}
