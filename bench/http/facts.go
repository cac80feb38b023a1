package main

import (
	"context"
	"debug/buildinfo"
	"strings"
	"time"

	"prefork/bench/peer"
)

// facts are what a reader of the figures wants to know about the run.
func (w workshop) facts(ctx context.Context, subjects []subject, now time.Time) []peer.Fact {
	// safe.directory: git refuses to look at a tree of another user, as in a container.
	commit := peer.VersionOf(ctx, "git", "-c", "safe.directory=*", "describe", "--always", "--dirty")
	all := append(peer.Machine(now), peer.Fact{Name: "commit", Value: commit})
	for _, s := range subjects {
		if s.missing == "" && (s.version != nil || s.module != "") {
			all = append(all, peer.Fact{Name: s.title, Value: s.versionText(ctx)})
		}
	}
	return all
}

func (s subject) versionText(ctx context.Context) string {
	if s.version != nil {
		return peer.VersionOf(ctx, append([]string{s.path}, s.version...)...)
	}
	info, err := buildinfo.ReadFile(s.path)
	if err != nil {
		return "unknown"
	}
	for _, module := range info.Deps {
		if strings.HasPrefix(module.Path, s.module) {
			return module.Path + " " + module.Version
		}
	}
	return "unknown"
}
