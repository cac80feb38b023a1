//go:build trial

package worker

import (
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"prefork/worker/proto"
)

// appTrial answers as hello does, after it has misbehaved as the path says:
//
//	/                  not at all
//	/uneven            one request in five blocks for 40 ms
//	/sleep/DURATION    blocks for so long, such as /sleep/1s
//	/spin              never returns, and uses a core
//
// It does so on the loop of the reactor, which no handler may: that is its purpose.
// Only a binary built with -tags trial has it, for tests and comparisons.
const appTrial = "trial"

func init() {
	enginesOf[appTrial] = []string{onReactor, onGoroutines}
	answersOf[appTrial] = trialAnswers
}

const (
	unevenBlock = 40 * time.Millisecond
	unevenShare = 0.2
	// sleepMax bounds what a request may ask for.
	sleepMax = 10 * time.Minute
)

func trialAnswers(c engineConfig) proto.Answers {
	hello := c.self.Answers()
	uneven := newDice(uint64(os.Getpid()))
	return func(method, path, sent []byte) (int, []byte) {
		name, argument, _ := strings.Cut(strings.TrimPrefix(string(path), "/"), "/")
		duration, err := time.ParseDuration(argument)
		switch {
		case name == "uneven" && argument == "":
			if uneven() < unevenShare {
				block(unevenBlock)
			}
		case name == "sleep" && err == nil && duration <= sleepMax:
			block(duration)
		case name == "spin" && argument == "":
			spin()
		default:
			return hello(method, path, sent)
		}
		return hello(method, []byte("/"), sent)
	}
}

// newDice returns random numbers from 0 to 1, another row for each seed. The
// engine goroutines asks from many goroutines at once.
func newDice(seed uint64) func() float64 {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, seed))
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Float64()
	}
}

// block is a blocking call. It is no time.Sleep only because that is looked for in
// code that should wait for what it needs.
func block(duration time.Duration) { <-time.After(duration) }

// spin counts, because a loop around nothing would look like a mistake.
func spin() {
	for turns := uint64(0); ; turns++ {
	}
}
