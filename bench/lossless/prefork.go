package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"prefork/bench/peer"
)

// preforkPatience bounds one command to a master.
const preforkPatience = 30 * time.Second

// prefork is a master with its workers.
type prefork struct {
	*peer.Process
	binary, control string
}

// preforkSubject is prefork with the app of tests, which answers as hello does.
// flags are added.
func (p programs) preforkSubject(missing string, flags ...string) subject {
	if !p.helpers && flags[0] == "--helpers" {
		flags = nil
	}
	return subject{
		missing: missing, spins: true, uneven: true, slots: true,
		start: func(ctx context.Context, at peer.Place) (server, error) {
			return startPrefork(ctx, p.prefork, at, flags)
		},
	}
}

func startPrefork(ctx context.Context, binary string, at peer.Place, flags []string) (server, error) {
	control := filepath.Join(at.Dir, "c")
	args := slices.Concat([]string{
		binary, "run", "--control", control, "--listen", at.Addr, "--workers", fmt.Sprint(workers), "--app", "trial",
		// A worker that spins would else keep the end of the scenario waiting.
		"--drain-timeout", "2s",
	}, flags)
	p, err := peer.Start(ctx, peer.Spec{Name: "prefork", Args: args, Addr: at.Addr, Dir: at.Dir})
	if err != nil {
		return nil, err
	}
	return prefork{Process: p, binary: binary, control: control}, nil
}

// Workers are those in state ready, by slot.
func (p prefork) Workers(ctx context.Context) ([]int, error) {
	text, err := p.command(ctx, "status", "--json")
	if err != nil {
		return nil, err
	}
	var status struct {
		Workers []struct {
			PID   int    `json:"pid"`
			State string `json:"state"`
		} `json:"workers"`
	}
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return nil, fmt.Errorf("read status of prefork: %w", err)
	}
	var pids []int
	for _, w := range status.Workers {
		if w.State == "ready" {
			pids = append(pids, w.PID)
		}
	}
	return pids, nil
}

func (p prefork) Reload(ctx context.Context) error {
	_, err := p.command(ctx, "reload")
	return err
}

func (p prefork) Scale(ctx context.Context, n int) error {
	_, err := p.command(ctx, "scale", fmt.Sprint(n))
	return err
}

// command runs `prefork VERB` for this master and returns what it said.
func (p prefork) command(ctx context.Context, verb string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, preforkPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.binary, append([]string{verb, "--control", p.control}, args...)...)
	var said, wrong strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &wrong
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("prefork %s: %w: %s", verb, err, strings.TrimSpace(wrong.String()))
	}
	return said.String(), nil
}

// knowsHelpers asks a binary whether it has the flag --helpers: one that was given
// by -prefork may be older.
func knowsHelpers(ctx context.Context, binary string) bool {
	help, err := exec.CommandContext(ctx, binary, "run", "--help").Output()
	return err == nil && strings.Contains(string(help), "--helpers")
}
