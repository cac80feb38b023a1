package master

import (
	"testing"
	"time"

	"prefork/internal/testproc"
	"prefork/master/control"
)

// TestRetiringSlotThatNobodyEmpties: a program has one socket, and what waits there
// when its worker is dead or stopped can be taken by nobody else. The scale-down waits
// for a bounded time and says what was lost.
func TestRetiringSlotThatNobodyEmpties(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		hurt func(t *testing.T, r *rig, w control.WorkerStatus)
		says []string
	}{
		{"dead", func(t *testing.T, r *rig, w control.WorkerStatus) {
			r.behave(t, 1, "die 3")
			mustKill(t, w)
			r.log.await(t, "worker is waiting", 1)
		}, []string{"slot is closed with connections in its queue"}},
		{"stopped", func(t *testing.T, _ *rig, w control.WorkerStatus) {
			testproc.Stop(t, w.PID)
		}, []string{"worker leaves connections behind", "worker is killed", "slot is closed with connections in its queue"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newForeignRig(t, 2)
			r.orders.ReadyNotify, r.orders.DrainTimeout = true, 2*time.Second
			st := r.serving(t)
			test.hurt(t, r, st.Workers[1])
			address := st.Listen[0].Address
			var ends []<-chan error
			testproc.Await(t, "a connection that nobody takes", func() bool {
				ends = append(ends, hearLater(address))
				return r.status(t).Workers[1].AcceptQueue > 0
			})
			began := time.Now()
			if a := r.do(t, control.Command{Verb: control.Scale, Workers: "1"}); a.Result != control.ResultOK {
				t.Errorf("scale: %+v", a)
			}
			for _, what := range test.says {
				r.log.await(t, what, noSlot).mustSay(t, "level", "warning")
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v with a drain-timeout of 2s", took)
			}
			lost := 0
			for _, end := range ends {
				if <-end != nil {
					lost++
				}
			}
			if lost == 0 {
				t.Errorf("all of %d connections got an answer: the log is wrong", len(ends))
			}
			testproc.Await(t, "one socket", func() bool { return listeners(t, address) == 1 })
			if err := <-hearLater(address); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// hearLater is hear beside the test; a reset is an end as any other.
func hearLater(address string) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := hear(address)
		ended <- err
	}()
	return ended
}
