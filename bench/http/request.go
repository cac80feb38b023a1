package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"prefork/bench/peer"
)

// generatorModes are the names that bench/load has.
var generatorModes = map[mode]string{keepAlive: "keepalive", short: "new"}

// loaded is what the generator tells about a load.
type loaded struct {
	Scheduled int           `json:"scheduled"`
	Answered  int           `json:"answered"`
	Elapsed   time.Duration `json:"elapsed_ns"`

	cpu time.Duration // of the generator
}

// load asks as fast as the answers come. A lost request is an error.
func (l *lab) load(ctx context.Context, addr string, m mode, d time.Duration) (loaded, error) {
	ran, err := peer.RunOn(ctx, l.generatorCores, l.generator,
		"-json", "-rate", "0", "-clients", strconv.Itoa(clients), "-mode", generatorModes[m], "-duration", d.String(), addr)
	if err != nil {
		return loaded{}, err
	}
	got := loaded{cpu: ran.CPU}
	if err := json.Unmarshal(ran.Output, &got); err != nil {
		return loaded{}, fmt.Errorf("read report of the load: %w", err)
	}
	if got.Answered == 0 || got.Answered < got.Scheduled {
		return loaded{}, fmt.Errorf("%d of %d requests were answered: nothing here explains that", got.Answered, got.Scheduled)
	}
	return got, nil
}

// measureRequest returns what all processes of a server use for one request.
func (l *lab) measureRequest(ctx context.Context, p *peer.Process, m mode) (sample, error) {
	if _, err := l.load(ctx, p.Addr(), m, l.size.warm); err != nil {
		return sample{}, err
	}
	before, err := p.CPUTime()
	if err != nil {
		return sample{}, err
	}
	got, err := l.load(ctx, p.Addr(), m, l.size.slice)
	if err != nil {
		return sample{}, err
	}
	after, err := p.CPUTime()
	if err != nil {
		return sample{}, err
	}
	return got.sample(after - before), nil
}

// sample is the measurement of a load under which a server used that much.
func (got loaded) sample(used time.Duration) sample {
	return sample{
		value:     float64(used) / float64(time.Microsecond) / float64(got.Answered),
		perSecond: float64(got.Answered) / got.Elapsed.Seconds(),
		server:    used.Seconds() / got.Elapsed.Seconds(),
		generator: got.cpu.Seconds() / got.Elapsed.Seconds(),
	}
}
