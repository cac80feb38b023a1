package steer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeKernel is a reuseport group as the kernel has it, written once more and
// without cleverness. After every call it checks who gets new connections.
type fakeKernel struct {
	t       testing.TB
	open    []int // fds by index
	program []int // nil: none
	live    map[int]bool
	refused map[int]bool // clients who come there try again
	calls   int
	fail    int // the call of this number fails; 0: none does
}

func (k *fakeKernel) refuses() bool {
	k.calls++
	return k.calls == k.fail
}

func (k *fakeKernel) attach(fd int, live []int) error {
	if k.refuses() {
		return unix.ENOMEM
	}
	if !slices.Contains(k.open, fd) || len(live) == 0 {
		k.t.Fatalf("attach %v by socket %d of %v", live, fd, k.open)
	}
	k.program = slices.Clone(live)
	k.check("attach")
	return nil
}

func (k *fakeKernel) detach(fd int) error {
	if k.refuses() {
		return unix.ENOMEM
	}
	if !slices.Contains(k.open, fd) || k.program == nil {
		k.t.Fatalf("detach %v by socket %d of %v", k.program, fd, k.open)
	}
	k.program = nil
	k.check("detach")
	return nil
}

func (k *fakeKernel) close(fd int) error {
	i := slices.Index(k.open, fd)
	if i < 0 || k.live[fd] {
		k.t.Fatalf("close %d of %v, live %v", fd, k.open, k.live)
	}
	last := len(k.open) - 1
	k.open[i] = k.open[last]
	k.open = k.open[:last]
	k.check("close")
	return nil
}

// receivers are the sockets that a new connection can go to.
func (k *fakeKernel) receivers() map[int]bool {
	to := map[int]bool{}
	for _, index := range k.program {
		if index >= len(k.open) { // the kernel falls back to its hash
			k.program = nil
			break
		}
		to[k.open[index]] = true
	}
	if k.program == nil {
		for _, fd := range k.open {
			to[fd] = true
		}
	}
	return to
}

func (k *fakeKernel) check(after string) {
	k.t.Helper()
	program := k.program
	to := k.receivers()
	k.program = program
	if len(k.live) == 0 {
		return
	}
	if len(to) == 0 {
		k.t.Fatalf("after %s nobody gets connections: %v of %v", after, k.program, k.open)
	}
	for fd := range to {
		if !k.live[fd] && !k.refused[fd] {
			k.t.Fatalf("after %s socket %d gets connections and is not live: program %v of %v, live %v", after, fd, k.program, k.open, k.live)
		}
	}
}

// rig is an Order on a fake kernel.
type rig struct {
	*Order
	k    *fakeKernel
	next int // fd
}

func newRig(t testing.TB) *rig {
	k := &fakeKernel{t: t, live: map[int]bool{}}
	return &rig{Order: &Order{kernel: k}, k: k, next: 100}
}

// join lets n sockets listen; none of them is live.
func (r *rig) join(n int) (fds []int) {
	for range n {
		r.k.open = append(r.k.open, r.next)
		r.k.check("listen")
		r.Join(r.next)
		fds = append(fds, r.next)
		r.next++
	}
	return fds
}

func (r *rig) setLive(fds ...int) {
	r.k.live = map[int]bool{}
	for _, fd := range fds {
		r.k.live[fd] = true
	}
	r.SetLive(func(fd int) bool { return slices.Contains(fds, fd) })
}

func (r *rig) leave(fds ...int) {
	for _, fd := range fds {
		delete(r.k.live, fd)
		r.Leave(fd)
	}
}

func (r *rig) mustSettle(t testing.TB) {
	t.Helper()
	if err := r.Settle(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.FDs(), r.k.open) {
		t.Fatalf("it believes that the sockets are %v, and they are %v", r.FDs(), r.k.open)
	}
	if to := r.k.receivers(); len(r.k.live) > 0 && len(to) != len(r.k.live) {
		t.Fatalf("sockets %v get connections, want all of %v", to, r.k.live)
	}
}

func TestFreshSocketsReplaceTheOldOnes(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{1, 2, 3, 4, 7, 64, 1024} {
		t.Run(fmt.Sprint(slots), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			old := r.join(slots)
			r.setLive(old...)
			r.mustSettle(t)
			if r.k.calls != 0 {
				t.Errorf("%d system calls for a group where all are live, want none", r.k.calls)
			}
			for range 3 {
				if err := r.Brace(); err != nil {
					t.Fatal(err)
				}
				fresh := r.join(slots)
				r.setLive(fresh...)
				r.mustSettle(t)
				before := r.k.calls
				r.leave(old...)
				r.mustSettle(t)
				if len(r.k.open) != slots || r.k.program != nil {
					t.Errorf("%d sockets are left with program %v, want %d without", len(r.k.open), r.k.program, slots)
				}
				if calls := r.k.calls - before; calls > 8 {
					t.Errorf("%d programs to close %d sockets, want a few", calls, slots)
				}
				old = fresh
			}
		})
	}
}

// TestOnlyLiveSocketMoves: nothing is put off where sockets can refuse.
func TestOnlyLiveSocketMoves(t *testing.T) {
	t.Parallel()
	for _, sockets := range []int{3, 4, 9} {
		r := newRig(t)
		r.k.refused = map[int]bool{}
		r.Refuse = func(fd int) error {
			r.k.refused[fd] = true
			return nil
		}
		all := r.join(sockets)
		last := all[sockets-1]
		r.setLive(last)
		r.leave(all[:sockets-1]...)
		r.mustSettle(t)
		if !slices.Equal(r.k.open, []int{last}) || len(r.k.refused) != 1 {
			t.Errorf("%d sockets: %v are left and %d refused, want %d and 1", sockets, r.k.open, len(r.k.refused), last)
		}
	}
}

// TestClosingIsPutOff: the only live socket is the last of three. Whatever is
// closed moves it, so nothing is, until something stands behind it.
func TestClosingIsPutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	all := r.join(3)
	r.setLive(all[2])
	r.leave(all[:2]...)
	r.mustSettle(t)
	if len(r.k.open) != 3 {
		t.Fatalf("the sockets are %v, want all three", r.k.open)
	}
	fresh := r.join(1)
	r.mustSettle(t)
	if want := []int{all[0], fresh[0], all[2]}; !slices.Equal(r.k.open, want) {
		t.Errorf("the sockets are %v, want %v", r.k.open, want)
	}
	r.setLive(fresh...)
	r.leave(all[2])
	r.mustSettle(t)
	if !slices.Equal(r.k.open, fresh) {
		t.Errorf("the sockets are %v, want %v", r.k.open, fresh)
	}
}

func TestEndClosesEverything(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	all := r.join(3)
	r.setLive(all[2])
	r.mustSettle(t)
	r.End()
	r.k.live = map[int]bool{}
	before := r.k.calls
	r.leave(all...)
	r.mustSettle(t)
	if len(r.k.open) != 0 || r.k.calls != before {
		t.Errorf("sockets %v are left after %d programs, want none of both", r.k.open, r.k.calls-before)
	}
}

// TestSettleTriesAgain: a refused program leaves things as they were.
func TestSettleTriesAgain(t *testing.T) {
	t.Parallel()
	for fail := 1; fail < 12; fail++ {
		r := newRig(t)
		old := r.join(4)
		r.setLive(old...)
		r.k.fail = fail
		_ = r.Brace() // it may be the one that fails
		for range 3 {
			if r.program == nil {
				_ = r.Brace() // ditto
			}
		}
		fresh := r.join(4)
		r.setLive(fresh...)
		r.leave(old...)
		if err := r.Settle(); err != nil {
			t.Logf("call %d fails: %v", fail, err)
		}
		r.mustSettle(t)
		if !slices.Equal(r.FDs(), r.k.open) || len(r.k.open) != 4 {
			t.Errorf("call %d failed: sockets %v are left, want %v", fail, r.k.open, fresh)
		}
	}
}

// TestRandomHistories compares with the fake kernel, which checks after each call
// that no connection can go astray.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	const histories, steps = 500, 30
	for seed := range uint64(histories) {
		random := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t)
		if seed%2 == 1 {
			r.k.refused = map[int]bool{}
			r.Refuse = func(fd int) error {
				r.k.refused[fd] = true
				return nil
			}
		}
		var alive []int // neither left nor closed
		alive = append(alive, r.join(1+random.IntN(5))...)
		r.setLive(alive...)
		r.mustSettle(t)
		for range steps {
			switch random.IntN(4) {
			case 0:
				if err := r.Brace(); err != nil {
					t.Fatal(err)
				}
				alive = append(alive, r.join(1+random.IntN(4))...)
			case 1:
				random.Shuffle(len(alive), func(i, j int) { alive[i], alive[j] = alive[j], alive[i] })
				r.setLive(alive[:1+random.IntN(len(alive))]...)
			case 2: // who leaves is not the last live one
				for i, fd := range alive {
					if !r.k.live[fd] || len(r.k.live) > 1 {
						r.leave(fd)
						alive = slices.Delete(alive, i, i+1)
						break
					}
				}
			}
			r.mustSettle(t)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}
