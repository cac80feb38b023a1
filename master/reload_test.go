package master

import (
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/master/control"
)

// TestReloadOfABadReleaseRollsBack: the old generation never notices, and the
// operator reads the worker's last words.
func TestReloadOfABadReleaseRollsBack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, behaviour string
		reason, words   string
	}{
		{name: "dies", behaviour: "die 3 no module named shop", reason: "slot 1: exit code 3 before it was ready", words: "no module named shop"},
		{name: "goes into the background", behaviour: "die 0", reason: "slot 1: exit code 0 before it was ready: a worker must stay in the foreground"},
		{name: "babbles", behaviour: "babble-first garbage", reason: `slot 1: message starts with "once"`},
		{name: "is never ready", behaviour: "unready", reason: "slot 1: not ready within start-timeout 5s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			before := r.serving(t)
			r.behave(t, 1, "after sibling-is-ready "+test.behaviour)
			if test.behaviour == "unready" {
				r.orders.StartTimeout = 5 * time.Second
				r.order(t)
			}
			answers := r.doLater(t, control.Command{Verb: control.Reload})
			r.log.awaitThat(t, "a sibling that is ready", false, func(e entry) bool {
				return e.is("worker is standby", 0) && e.number("generation") == 2
			})
			r.open(t, "sibling-is-ready")
			answer := <-answers
			if answer.Result != control.ResultRolledBack || answer.Generation != 1 || answer.Workers != 2 {
				t.Errorf("the answer is %+v, want rolled_back at generation 1 with 2 workers", answer)
			}
			for _, want := range []string{test.reason, test.words} {
				if !strings.Contains(answer.Error, want) {
					t.Errorf("the answer says %q, want it to contain %q", answer.Error, want)
				}
			}
			after := r.awaitReady(t, 2)
			mustBeTheSame(t, after, before)
			if got := after.LastReload; got.Result != control.ResultRolledBack || got.Error != answer.Error {
				t.Errorf("the status remembers %+v, want what was answered", got)
			}
			mustServe(t, after)
			r.mustHaveDrained(t, 0, 2)
			if got := r.log.count("reload rolled back", noSlot); got != 1 {
				t.Errorf("%d lines about it, want one", got)
			}
		})
	}
}

// mustHaveDrained checks that what was ready of the failed generation was let go
// gently: it left on its own.
func (r *rig) mustHaveDrained(t testing.TB, slot, generation int) {
	t.Helper()
	wanted := func(e entry) bool { return e.is("worker exited", slot) && e.number("generation") == generation }
	r.log.awaitThat(t, "worker exited", false, wanted) // the log is read later than the status
	exits, _ := r.log.find(false, wanted)
	if len(exits) != 1 {
		t.Fatalf("%d workers of slot %d and generation %d have exited, want one", len(exits), slot, generation)
	}
	exits[0].mustSay(t, "reason", "exit code 0")
}

// TestReloadAfterARolledBackOne works: nothing of the failure is left.
func TestReloadAfterARolledBackOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	before := r.serving(t)
	r.behave(t, 1, "die 3 broken")
	r.do(t, control.Command{Verb: control.Reload})
	r.behave(t, 1, "good")
	answer := r.do(t, control.Command{Verb: control.Reload})
	if answer.Result != control.ResultOK || answer.Generation != 3 || answer.Error != "" {
		t.Errorf("the answer is %+v, want ok at generation 3: the failed one's number is not used again", answer)
	}
	after := r.awaitReady(t, 2)
	for i := range after.Workers {
		if after.Workers[i].PID == before.Workers[i].PID || after.Workers[i].Generation != 3 {
			t.Errorf("slot %d is still served by %+v", i, after.Workers[i])
		}
	}
	mustServe(t, after)
	if got, most := descriptors(t, r.PID()), descriptorsMost(2); got > most {
		t.Errorf("the master has %d descriptors, want %d at most", got, most)
	}
}

// TestReloadOneByOneStopsAtTheFirstFailure needs less room than a whole second
// generation.
func TestReloadOneByOneStopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.orders.Surge = 1
	before := r.serving(t)
	r.behave(t, 1, "die 3 broken")
	answer := r.do(t, control.Command{Verb: control.Reload})
	if answer.Result != control.ResultRolledBack || !strings.Contains(answer.Error, "slots [0] serve generation 2") {
		t.Errorf("the answer is %+v, want rolled_back with slot 0 left at generation 2", answer)
	}
	after := r.awaitReady(t, 3)
	mustBeTheSame(t, control.Status{Workers: after.Workers[1:]}, control.Status{Workers: before.Workers[1:]})
	mustServe(t, after)
}

// TestReloadOfABadConfigurationIsRefused: nothing changes.
func TestReloadOfABadConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	before := r.serving(t)
	for name, spoil := range map[string]func(*orders){
		"cannot be read": func(o *orders) { o.Refuse = "prefork.toml:3: unknown key wrokers" },
		"is not valid":   func(o *orders) { o.HangTimeout = time.Millisecond },
	} {
		good := r.orders
		spoil(&r.orders)
		r.order(t)
		answer := r.do(t, control.Command{Verb: control.Reload})
		if answer.Result != control.ResultRefused || answer.Error == "" {
			t.Errorf("a configuration that %s: the answer is %+v, want refused with a reason", name, answer)
		}
		r.orders = good
	}
	r.log.awaitThat(t, "the refusal", false, func(e entry) bool {
		return e.is("reload refused", noSlot) && strings.Contains(e.text("reason"), "prefork.toml:3: unknown key wrokers")
	})
	mustBeTheSame(t, r.awaitReady(t, 2), before)
}

// TestReloadTakesTheNewConfiguration: more workers, also when the number is left
// to the machine.
func TestReloadTakesTheNewConfiguration(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.serving(t)
	r.orders.Workers = 0
	r.order(t)
	answer := r.do(t, control.Command{Verb: control.Reload})
	if answer.Result != control.ResultOK || answer.Workers != usableCPUs() {
		t.Errorf("the answer is %+v, want ok with %d workers", answer, usableCPUs())
	}
	r.orders.Workers = usableCPUs() + 1
	r.order(t)
	r.Signal(t, syscall.SIGHUP)
	mustServe(t, r.awaitReady(t, usableCPUs()+1))
}

func mustBeTheSame(t testing.TB, got, want control.Status) {
	t.Helper()
	for i := range want.Workers {
		if i >= len(got.Workers) || got.Workers[i].PID != want.Workers[i].PID || got.Workers[i].State != "ready" {
			t.Fatalf("the workers are %+v, want those from before: %+v", got.Workers, want.Workers)
		}
	}
}

// mustServe connects until every worker of the status has answered.
func mustServe(t testing.TB, st control.Status) {
	t.Helper()
	missing := map[string]bool{}
	for _, w := range st.Workers {
		missing[fmt.Sprintf("slot %d generation %d pid %d\n", w.Slot, w.Generation, w.PID)] = true
	}
	for tries := 0; len(missing) > 0; tries++ {
		if tries == 2000 {
			t.Fatalf("nobody has heard of %v in %d connections", missing, tries)
		}
		delete(missing, mustAsk(t, st.Listen[0].Address))
	}
}

func mustAsk(t testing.TB, address string) string {
	t.Helper()
	answer := <-askLater(t, address)
	if answer == "" {
		t.Fatal("no answer")
	}
	return answer
}

// askLater connects and reads what the worker says, beside the test.
func askLater(t testing.TB, address string) <-chan string {
	answers := make(chan string, 1)
	go func() {
		answer, err := ask(address)
		if err != nil {
			t.Error(err)
		}
		answers <- answer
	}()
	return answers
}

func ask(address string) (string, error) {
	const timeout = 20 * time.Second
	c, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}
