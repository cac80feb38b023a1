package master

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"prefork/internal/testproc"
	"prefork/master/control"
)

func listened(st control.Status) (addresses []string) {
	for _, l := range st.Listen {
		addresses = append(addresses, l.Address)
	}
	return addresses
}

// TestReloadChangesAddressesUnderLoad, the number of workers and what they are, at
// once and there and back again: nobody fails where an address stays, and where it
// goes everybody is served or refused.
func TestReloadChangesAddressesUnderLoad(t *testing.T) {
	t.Parallel()
	const perStep = 600
	dir := testproc.SocketDir(t)
	r := newRig(t, 2)
	r.behave(t, "all", "patient")
	few := []string{"127.0.0.1:0", "[::1]:0", "unix:" + dir + "/kept", "unix:" + dir + "/gone,mode=0600"}
	many := []string{"unix:" + dir + "/kept", ":0", "127.0.0.1:0", "unix:" + dir + "/new"}
	r.orders.Listen = few
	first := listened(r.serving(t))
	var loads []*clients
	for _, address := range first {
		loads = append(loads, startClients(address))
	}
	await := func(n int64) {
		t.Helper()
		for _, load := range loads {
			load.await(t, n)
		}
	}
	await(perStep)
	for n, step := range []struct {
		listen  []string
		app     string
		workers int
	}{{many, "echo", 3}, {few, "hello", 2}, {many, "hello", 4}} {
		r.orders.Listen, r.orders.App, r.orders.Workers = step.listen, step.app, step.workers
		r.order(t)
		if answer := r.do(t, control.Command{Verb: control.Reload}); answer.Result != control.ResultOK {
			t.Fatalf("reload %d: %+v, want ok", n+1, answer)
		}
		st := r.awaitReady(t, step.workers)
		got := listened(st)
		if len(step.listen) != len(got) || !slices.Contains(got, first[0]) || !slices.Contains(got, first[2]) {
			t.Errorf("after reload %d it listens on %v, want those of %v with the port of %s", n+1, got, step.listen, first[0])
		}
		for i, address := range got {
			want := fmt.Sprintf("generation %d ", n+2)
			if answer, err := hear(address); err != nil || !strings.Contains(answer, want) {
				t.Errorf("after reload %d %s answers %q (%v), want %q", n+1, address, answer, err, want)
			}
			if tcp := !strings.HasPrefix(address, "unix:"); st.Listen[i].ReusePort != tcp {
				t.Errorf("reuseport of %s is %v", address, st.Listen[i].ReusePort)
			}
		}
		await(int64(n+2) * perStep)
	}
	for i, load := range loads {
		load.finish(t, first[i], i%2 == 1)
	}
	if got, most := descriptors(t, r.PID()), descriptorsMost(4)+3*4; got > most {
		t.Errorf("the master has %d descriptors, want %d at most", got, most)
	}
	mustBeIn(t, dir, "kept", "new")
	r.stop(t)
	mustBeIn(t, dir)
}

// TestReloadWithATakenAddressChangesNothing, whatever else it would have changed.
func TestReloadWithATakenAddressChangesNothing(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := testproc.SocketDir(t)
	r := newRig(t, 2)
	r.behave(t, "all", "patient")
	good := []string{"127.0.0.1:0", "unix:" + dir + "/web"}
	r.orders.Listen = good
	before := r.serving(t)
	loads := []*clients{startClients(before.Listen[0].Address), startClients(before.Listen[1].Address)}
	for bad, want := range map[string]string{
		taken.Addr().String():       taken.Addr().String() + " is taken by ",
		"unix:" + dir + "/none/web": "its folder " + dir + "/none does not exist",
		"systemd:web":               "systemd has passed no sockets",
		"192.0.2.1:80":              "this machine has no address 192.0.2.1",
	} {
		r.orders.Listen, r.orders.App, r.orders.Workers = append([]string{"[::1]:0", "unix:" + dir + "/more", bad}, good...), "echo", 4
		r.order(t)
		answer := r.do(t, control.Command{Verb: control.Reload})
		if answer.Result != control.ResultRolledBack || !strings.Contains(answer.Error, want) || strings.Contains(answer.Error, "\n") {
			t.Errorf("with %s: the answer is %+v, want rolled_back with %q in one line", bad, answer, want)
		}
		after := r.awaitReady(t, 2)
		mustBeTheSame(t, after, before)
		if !slices.Equal(listened(after), listened(before)) || listeners(t, before.Listen[0].Address) != 2 {
			t.Errorf("with %s: it listens on %v with %d sockets", bad, listened(after), listeners(t, before.Listen[0].Address))
		}
		mustBeIn(t, dir, "web")
	}
	for i, load := range loads {
		load.await(t, 500)
		load.finish(t, before.Listen[i].Address, false)
	}
}

// TestRolledBackReloadTakesItsAddressesAway when its workers do not come up.
func TestRolledBackReloadTakesItsAddressesAway(t *testing.T) {
	t.Parallel()
	dir := testproc.SocketDir(t)
	r := newRig(t, 2)
	r.orders.Listen = []string{"127.0.0.1:0", "unix:" + dir + "/web"}
	before := r.serving(t)
	load := startClients(before.Listen[0].Address)
	for range 3 {
		r.behave(t, 1, "die 3 broken")
		r.orders.Listen = []string{"127.0.0.1:0", "unix:" + dir + "/web", "unix:" + dir + "/more"}
		r.orders.App = "echo"
		r.order(t)
		if answer := r.do(t, control.Command{Verb: control.Reload}); answer.Result != control.ResultRolledBack {
			t.Errorf("the answer is %+v, want rolled_back", answer)
		}
		mustRefuse(t, "unix:"+dir+"/more")
		mustBeTheSame(t, r.awaitReady(t, 2), before)
		mustBeIn(t, dir, "web")
	}
	load.await(t, 500)
	load.finish(t, "the old address", false)
	r.behave(t, 1, "good")
	if answer := r.do(t, control.Command{Verb: control.Reload}); answer.Result != control.ResultOK {
		t.Errorf("the answer is %+v, want ok", answer)
	}
	if got := listeners(t, before.Listen[0].Address); got != 2 {
		testproc.Await(t, "the old sockets to close", func() bool { return listeners(t, before.Listen[0].Address) == 2 })
	}
	mustBeIn(t, dir, "more", "web")
}

// TestRollingReloadMovesSlotBySlot with fresh sockets: at each moment those slots
// get connections that somebody serves.
func TestRollingReloadMovesSlotBySlot(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	r.behave(t, "all", "patient")
	r.orders.Surge = 1
	st := r.serving(t)
	load := startClients(st.Listen[0].Address)
	for n, app := range []string{"echo", "hello", "echo"} {
		r.orders.App = app
		r.order(t)
		if answer := r.do(t, control.Command{Verb: control.Reload}); answer.Result != control.ResultOK {
			t.Fatalf("reload %d: %+v, want ok", n+1, answer)
		}
		mustServe(t, r.awaitReady(t, 4))
	}
	load.await(t, 2000)
	load.finish(t, "three rolling reloads", false)
	if got := listeners(t, st.Listen[0].Address); got != 4 {
		t.Errorf("%d sockets listen, want 4", got)
	}
}

// TestSharedQueueIsOneSocket for all workers, also after a reload from and to a
// socket for each.
func TestSharedQueueIsOneSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.behave(t, "all", "patient")
	r.orders.Queue = "shared"
	st := r.serving(t)
	if got := listeners(t, st.Listen[0].Address); got != 1 || st.Listen[0].ReusePort {
		t.Errorf("%d sockets listen, reuseport %v, want one without", got, st.Listen[0].ReusePort)
	}
	mustServe(t, st)
	load := startClients(st.Listen[0].Address)
	for _, queue := range []string{"slot", "shared", "slot"} {
		r.orders.Queue = queue
		r.order(t)
		if answer := r.do(t, control.Command{Verb: control.Reload}); answer.Result != control.ResultOK {
			t.Fatalf("reload to %s: %+v, want ok", queue, answer)
		}
		mustServe(t, r.awaitReady(t, 3))
		want := map[string]int{"slot": 3, "shared": 1}[queue]
		testproc.Await(t, "the old sockets to close", func() bool { return listeners(t, st.Listen[0].Address) == want })
	}
	load.await(t, 1000)
	load.finish(t, "from queue to queue", false)
}

// TestStopRefusesAtOnce: who connects while the last requests are finished is told
// so, and does not wait for nobody.
func TestStopRefusesAtOnce(t *testing.T) {
	t.Parallel()
	dir := testproc.SocketDir(t)
	r := newRig(t, 1)
	r.behave(t, 0, "deaf")
	r.orders.Listen = []string{"127.0.0.1:0", "[::]:0", "unix:" + dir + "/web"}
	st := r.serving(t)
	answers := r.doLater(t, control.Command{Verb: control.Stop})
	r.log.await(t, "worker is draining", 0)
	for _, address := range listened(st) {
		mustRefuse(t, address)
	}
	r.do(t, control.Command{Verb: control.Stop, Now: true})
	<-answers
	r.mustExit(t, 0)
	mustBeIn(t, dir)
}

// mustBeIn checks what a folder holds.
func mustBeIn(t testing.TB, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the folder holds %v, want %v", got, want)
	}
}
