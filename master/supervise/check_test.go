package supervise

import (
	"errors"
	"strings"
	"testing"
)

// TestCheckFindsBrokenInvariants breaks every invariant once: a Check that
// finds nothing proves nothing until it has found something.
func TestCheckFindsBrokenInvariants(t *testing.T) {
	t.Parallel()
	reloading := running2 + "reload #1"
	handing := speaking2 + "reload #1\neverybody ready"
	for _, tc := range []struct {
		name   string
		script string
		spoil  func(m *Machine)
		want   string
	}{
		{"two who serve", running2, func(m *Machine) { m.Slots[0].Serving.State = Draining }, "I1: the serving seat"},
		{"two who come", reloading, func(m *Machine) { m.Slots[0].Coming.State = Ready }, "I1: the coming seat"},
		{"leaving without leaving", running2, func(m *Machine) { m.Slots[0].Leaving = []*worker{nil} }, "I1: a leaving seat"},
		{"three processes", reloading, func(m *Machine) {
			m.Slots[0].Leaving = []*worker{{ID: WorkerID{0, 4}, State: Draining, Deadline: m.now + 1}}
		}, "I1: more than two processes"},
		{"retiring and serving", running2 + "scale #1 1", func(m *Machine) {
			m.Slots[1].Serving, m.Slots[1].Leaving = m.Slots[1].Leaving[0], nil
			m.Slots[1].Serving.State = Ready
		}, "I1: it retires"},
		{"a state without an end", reloading, func(m *Machine) { m.Slots[0].Coming.Deadline = 0 }, "I2: worker {0 3} is starting without"},
		{"a heartbeat without an end", running2 + "wait 2s", func(m *Machine) { m.Slots[0].Serving.Deadline = 0 }, "I2: worker {0 1} is ready without"},
		{"an incarnation twice", running2, func(m *Machine) { m.Slots[1].Serving.ID.Incarnation = 1 }, "I3: incarnation 1 is reused"},
		{"an incarnation of the future", running2, func(m *Machine) { m.LastIncarnation = 1 }, "I3: incarnation 2 is reused or from the future"},
		{"a generation of the future", running2, func(m *Machine) { m.Generation = 7 }, "I3: generation 7"},
		{"a worker of the future", running2, func(m *Machine) { m.Slots[0].Serving.Generation = 7 }, "I3: worker {0 1} is of generation 7"},
		{"a change into the past", reloading, func(m *Machine) { m.Change.Generation = 0 }, "I3: a change to generation 0"},
		{"a change while stopping", running2 + "stop #1", func(m *Machine) { m.Change = &change{Kind: reload, Target: m.Target} }, "I4: a change of kind"},
		{"a resume while running", reloading, func(m *Machine) { m.Change.Kind = resume }, "I4: a change of kind"},
		{"serving while stopping", running2 + "stop #1", func(m *Machine) {
			m.Slots[0].Serving = &worker{ID: WorkerID{0, 1}, State: Ready}
			m.Slots[0].Leaving = nil
		}, "I4: somebody does not leave"},
		{"serving while drained", running2 + "signal WINCH", func(m *Machine) {
			m.Slots[0].Serving = &worker{ID: WorkerID{0, 1}, State: Ready}
			m.Slots[0].Leaving = nil
		}, "I4: it serves"},
		{"too many replacements", running2, func(m *Machine) {
			for i := range respawnMax + 1 {
				m.Slots[0].Respawns = append(m.Slots[0].Respawns, m.now+Time(i))
			}
		}, "I6: more than 30"},
		{"replacements out of order", running2, func(m *Machine) { m.Slots[0].Respawns = []Time{2, 1} }, "I6: the replacements"},
		{"somebody nobody wants", reloading, func(m *Machine) { m.Change = nil; m.Slots[0].Serving.State = Starting }, "I8: somebody comes whom nobody wants"},
		{"somebody of another change", reloading, func(m *Machine) { m.Slots[0].Coming.Generation = 1 }, "I8: somebody comes who is not of the reload"},
		{"nobody serves", running2, func(m *Machine) { m.Slots[1].Serving = nil }, "L1: nobody is in the serving seat"},
		{"nobody comes", reloading, func(m *Machine) { m.Slots[1].Coming = nil }, "L1: nobody comes"},
		{"too few slots", running2, func(m *Machine) { m.Slots = m.Slots[:1] }, "L1: 2 slots wanted, 1 there"},

		{"a bad target", running2, func(m *Machine) { m.Target.Slots = 0 }, "target: workers is 0"},
		{"a bad target of a change", reloading, func(m *Machine) { m.Change.Target.Slots = 2000 }, "change: workers is 2000"},
		{"a bad target of a wish", reloading, func(m *Machine) { m.NextReload = &wish{} }, "next reload: workers is 0"},
		{"a bad number of a wish", reloading, func(m *Machine) { m.NextScale = &wish{} }, "next scale: 0 slots"},
		{"no phase", running2, func(m *Machine) { m.Phase = 9 }, "phase 9"},
		{"a heartbeat before it served", reloading, func(m *Machine) { m.Slots[0].Coming.BeatAt = 1 }, "I2: worker {0 3} is starting and was judged"},
		{"coming up although it serves", running2, func(m *Machine) { m.Slots[0].Serving.ReadyDue = 1 }, "I2: worker {0 1} is ready and still comes up"},
		{"nobody wanted", running2, func(m *Machine) { m.Wanted = 0 }, "0 slots wanted"},
		{"slots before the start", "machine slots=1", func(m *Machine) { m.Slots = []*slot{{}} }, "before the start"},
		{"impossible slots", reloading, func(m *Machine) { m.Change.Next = 9 }, "slots 0 to 9 of 2"},
		{"a reload of a part", reloading, func(m *Machine) { m.Change.First = 1 }, "not only from slot 1 on"},
		{"before its sockets", reloading, func(m *Machine) { m.Change.Opening = true }, "before its sockets"},
		{"retiring too soon", running2, func(m *Machine) { m.Slots[1].Retiring = true }, "it retires: true, and 2 slots are wanted"},
		{"a slot misnumbered", running2, func(m *Machine) { m.Slots[1].Number = 0 }, "slot 1 is missing or numbered otherwise"},
		{"listening before it serves", reloading, func(m *Machine) { m.Slots[0].Coming.Listens = true }, "I9: worker {0 3} listens or is deaf"},
		{"watching before it listens", running3, func(m *Machine) { m.Slots[0].Serving.Listens = false }, "I9: worker {0 1} watches others"},
		{"watching and deaf", running3, func(m *Machine) { m.Slots[0].Serving.Deaf = true }, "I9: worker {0 1} watches others"},
		{"watching its own slot", running3, func(m *Machine) { m.Slots[0].Serving.Watches[0].Slot = 0 }, "and slot 0: that is no sibling's"},
		{"watching nothing", running3, func(m *Machine) { m.Slots[0].Serving.Watches[0].Slot = -1 }, "and slot -1: that is no sibling's"},
		{"watching twice", running3, func(m *Machine) {
			w := m.Slots[0].Serving
			w.Watches = append(w.Watches, w.Watches[0])
		}, "it watches it twice"},
		{"watching too many", running3, func(m *Machine) { m.Slots[0].Serving.Watches = make([]watch, watchesMax+1) }, "more than 48"},
		{"watching what has closed", running3, func(m *Machine) { m.Slots[0].Serving.Watches[0] = watch{Slot: 3, Asked: true} }, "it has closed"},
		{"letting go unasked", running3, func(m *Machine) { m.Slots[0].Serving.Watches[0].Ending = true }, "lets go of it unasked"},
		{"watching a stranger", running3, func(m *Machine) { m.Slots[0].Serving.Watches[0].Slot = 2 }, "should not watch it"},
		{"watching although nobody should", running3, func(m *Machine) { m.Target.Helpers = 0 }, "should not watch it"},
		{"standing before the owner", running3, func(m *Machine) { m.Slots[0].Serving.Watches[0].Owner = 0 }, "stands before the owner, incarnation 2"},
		{"watching old sockets", running3, func(m *Machine) { m.Slots[0].Serving.Watches[0].Stale = true }, "stands before the owner, incarnation 2"},
		{"emptied while wanted", running2, func(m *Machine) { m.Slots[1].EmptyBy = 1 }, "I10: it is emptied and may"},
		{"emptied unasked", running2, func(m *Machine) { m.Slots[1].Emptied = true }, "I10: it was emptied unasked"},
		{"left behind before it was emptied", running2, func(m *Machine) { m.Slots[1].LeftBehind = 1 }, "I10: it was emptied unasked"},
		{"never emptied", running2 + "slots empty slowly\nscale #1 1\neverybody gone", func(m *Machine) { m.Slots[1].EmptyBy = 0 }, "L1: nobody has asked for its end"},

		{"an heir of who serves", speaking2, func(m *Machine) { m.Slots[0].Serving.Heirs = []WorkerID{{1, 2}} }, "I11: worker {0 1} has heirs and does not drain"},
		{"no heir", handing, func(m *Machine) { m.Slots[0].Leaving[0].Heirs = nil }, "I11: worker {0 1} has no heir, and there is one"},
		{"no heir for a slot that retires", speaking2 + "scale #1 1", func(m *Machine) { m.Slots[1].Leaving[0].Heirs = nil }, "I11: worker {1 2} has no heir"},
		{"an heir that has gone", handing, func(m *Machine) { m.Slots[0].Leaving[0].Heirs[0].Incarnation = 9 }, "I11: worker {0 1} gives to {0 9}, who does not serve"},
		{"an heir twice", handing, func(m *Machine) { m.Slots[0].Leaving[0].Heirs = []WorkerID{{0, 3}, {0, 3}} }, "takes already"},
		{"too many heirs", handing, func(m *Machine) { m.Slots[0].Leaving[0].Heirs = make([]WorkerID, heirsMax+1) }, "has 9 heirs, more than 8"},
		{"a protocol without end", speaking2, func(m *Machine) { m.Slots[0].Serving.Protocol = strings.Repeat("x", protocolMax+1) }, "name of 256 bytes"},
		{"an account for nobody", running2, func(m *Machine) { m.LastAccount = m.openAccount("stop", 1) }, "I12: nobody belongs to account 1"},
		{"an account that is not open", running2 + "scale #1 1", func(m *Machine) { m.Accounts = nil }, "I12: account 1 of slot 1 is not open"},
		{"a slot of nobody's", running2 + "scale #1 1", func(m *Machine) { m.Slots[1].Leaving[0].Account = 2 }, "I12: account 2 of worker {1 2} is not open"},
		{"nobody's account", running2 + "scale #1 1", func(m *Machine) { m.Slots[1].Leaving[0].Account = 0 }, "I12: worker {1 2} leaves on nobody's"},
		{"an account of who serves", reloading, func(m *Machine) { m.Slots[0].Serving.Account = 1 }, "I12: worker {0 1} has an account"},
		{"served too early", running2, func(m *Machine) { m.Generation = 0 }, "I12: worker {0 1} has served before"},
		{"a change without an account", reloading, func(m *Machine) { m.Change.Account = 0 }, "I12: the reload under way has account 0"},
		{"accounts out of order", reloading, func(m *Machine) { m.LastAccount = 0 }, "I12: accounts up to 0 are not in order"},
		{"nobody told in time", running2 + "scale #1 1", func(m *Machine) { m.Accounts[0].AnswerBy = 0 }, "I12: 1 callers wait for account 1"},

		{"a worker astray", running2, func(m *Machine) { m.Slots[0].Serving.ID.Slot = 1 }, "in the wrong slot"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := mustPlay(t, tc.script).m
			if err := m.Check(); err != nil {
				t.Fatalf("before: %v", err)
			}
			tc.spoil(m)
			if err := m.Check(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestWitnessFindsBrokenSequences does the same for what only sequences show.
func TestWitnessFindsBrokenSequences(t *testing.T) {
	t.Parallel()
	id, next := WorkerID{0, 1}, WorkerID{0, 2}
	open := func(w *witness) { w.asked, w.opened = 1, 1 }
	gives := func(w *witness) {
		w.living[id], w.living[next] = serve, serve
		w.heirs.speaks[id], w.heirs.speaks[next] = "http/1", "http/1"
	}
	helped := func(w *witness) { w.opened, w.living[id], w.help.listens[id] = 2, serve, 1 }
	for _, tc := range []struct {
		name    string
		before  func(*witness)
		actions []Action
		want    string
	}{
		{"spawned after the stop", open, []Action{Note{Text: "master is stopping"}, Spawn{ID: id}}, "I4"},
		{"spawned without sockets", func(*witness) {}, []Action{Spawn{ID: id}}, "no sockets"},
		{"spawned twice", open, []Action{Spawn{ID: id}, Spawn{ID: id}}, "I3"},
		{"three in a slot", open, []Action{Spawn{ID: id}, Spawn{ID: next}, Spawn{ID: WorkerID{0, 3}}}, "I1"},
		{"told without a process", open, []Action{Drain{ID: id}}, "no process"},
		{"told to serve after drain", open, []Action{Spawn{ID: id}, Drain{ID: id}, Serve{ID: id}}, "already told"},
		{"told to serve twice", open, []Action{Spawn{ID: id}, Serve{ID: id}, Serve{ID: id}}, "already told"},
		{"told to drain twice", open, []Action{Spawn{ID: id}, Drain{ID: id}, Drain{ID: id}}, "already told"},
		{"closed under a worker", open, []Action{Spawn{ID: id}, CloseSlot{}}, "still in the slot"},
		{"closed below the highest", func(w *witness) { w.opened = 2 }, []Action{CloseSlot{}}, "not the highest"},
		{"drained while connections come", open, []Action{Spawn{ID: id}, Note{Text: "master is stopping"}, Drain{ID: id}}, "still take connections"},
		{"forgotten while needed", open, []Action{Spawn{ID: id, Revision: 3}, ForgetRevision{Revision: 3}}, "still lives"},
		{"forgotten twice", open, []Action{ForgetRevision{Revision: 3}, ForgetRevision{Revision: 3}}, "already forgotten"},
		{"spawned of what is forgotten", open, []Action{ForgetRevision{Revision: 3}, Spawn{ID: id, Revision: 3}}, "revision 3 is forgotten"},
		{"watching its own slot", helped, []Action{Watch{ID: id, Slot: 0}}, "own slot"},
		{"watching before it listens", func(w *witness) { w.opened, w.living[id] = 2, serve }, []Action{Watch{ID: id, Slot: 1}}, "does not listen"},
		{"watching while it leaves", helped, []Action{Drain{ID: id}, Watch{ID: id, Slot: 1}}, "does not listen"},
		{"watching after it broke the protocol", func(w *witness) { helped(w); w.help.deaf[id] = true }, []Action{Watch{ID: id, Slot: 1}}, "does not listen"},
		{"watching what is not there", helped, []Action{Watch{ID: id, Slot: 2}}, "no sockets"},
		{"asked twice", helped, []Action{Watch{ID: id, Slot: 1}, Watch{ID: id, Slot: 1}}, "not answered yet"},
		{"asked to let go before it has answered", helped, []Action{Watch{ID: id, Slot: 1}, Unwatch{ID: id, Slot: 1}}, "not answered yet"},
		{"asked for what it does", func(w *witness) { helped(w); w.help.watches[pair{id, 1}] = entry{order: 9} }, []Action{Watch{ID: id, Slot: 1}}, "behind its owner"},
		{"closed under a watcher", func(w *witness) {
			helped(w)
			w.help.watches[pair{id, 1}], w.help.emptied[1] = entry{order: 9}, true
		}, []Action{CloseSlot{Slot: 1}}, "still watches it"},
		{"closed before it was emptied", open, []Action{CloseSlot{}}, "I10: nobody has said"},
		{"emptied twice", open, []Action{EmptySlot{}, EmptySlot{}}, "I10: it was asked before"},
		{"emptied under a worker", open, []Action{Spawn{ID: id}, EmptySlot{}}, "I10: 0/1 is still"},
		{"rung for nobody", open, []Action{RingBell{}}, "nobody hears it"},
		{"giving before it has served", func(w *witness) { gives(w); w.living[id] = nothing }, []Action{HandOver{From: id, To: next}}, "who gives has not served"},
		{"giving when it was killed", func(w *witness) { gives(w); w.living[id] = kill }, []Action{HandOver{From: id, To: next}}, "who gives has not served"},
		{"taking before it serves", func(w *witness) { gives(w); w.living[next] = nothing }, []Action{HandOver{From: id, To: next}}, "who takes does not serve"},
		{"taking what it does not speak", func(w *witness) { gives(w); w.heirs.speaks[next] = "echo" }, []Action{HandOver{From: id, To: next}}, `one speaks "http/1" and the other "echo"`},
		{"giving what nobody can take", func(w *witness) { gives(w); clear(w.heirs.speaks) }, []Action{HandOver{From: id, To: next}}, "and the other"},
		{"taking after it broke the protocol", func(w *witness) { gives(w); w.help.deaf[next] = true }, []Action{HandOver{From: id, To: next}}, "and the other"},
		{"giving twice", gives, []Action{HandOver{From: id, To: next}, HandOver{From: id, To: next}}, "told so before"},
		{"giving while the master stops", func(w *witness) { gives(w); w.stopped = true }, []Action{HandOver{From: id, To: next}}, "nobody stays"},
		{"giving after its drain", gives, []Action{Drain{ID: id}, HandOver{From: id, To: next}}, "AFTER its drain"},
		{"answered unasked", open, []Action{Answer{Caller: 1}}, "nobody waits"},
		{"something after Exit", open, []Action{Exit{}, Announce{}}, "I7"},
		{"somebody forgotten", func(w *witness) { w.callers[1] = 1 }, []Action{Exit{}}, "still waits"},
		{"somebody left alive", open, []Action{Spawn{ID: id}, Exit{}}, "still lives"},
		{"an account twice", open, []Action{OpenAccount{Number: 2}, OpenAccount{Number: 2}}, "I12: the last account was 2"},
		{"closed and not open", open, []Action{CloseAccount{Account: Account{Number: 2, Result: Done}}}, "I12: it is not open"},
		{"told of too much", func(w *witness) { w.books.open[1] = true }, []Action{CloseAccount{Account: Account{Number: 1, Result: Done, Cut: 1}}}, "{given:0 finished:0 cut:1 silent:0} was told"},
		{"told too early", func(w *witness) { w.books.open[1], w.callers[1] = true, 1 }, []Action{Answer{Caller: 1, Account: Account{Number: 1}, Waited: accountPatience - 1}}, "account 1 is open"},
		{"never told", func(w *witness) { w.books.owed.cut = 1 }, []Action{Exit{}}, "I12: accounts map[] are open; workers have counted {given:0 finished:0 cut:1"},
		{"drain before serve", open, []Action{Spawn{ID: id}, Spawn{ID: next}, Drain{ID: id}, Serve{ID: next}}, "serve comes after"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWitness()
			tc.before(w)
			var err error
			for _, a := range tc.actions {
				if err == nil {
					err = w.see(a)
				}
				if err == nil {
					err = w.help.see(a, w)
				}
				if err == nil {
					err = w.heirs.see(a, w)
				}
				if err == nil {
					err = w.books.see(a)
				}
			}
			if err == nil {
				err = errors.Join(checkHandOver(tc.actions), checkHeirs(tc.actions))
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestSceneFindsStepsBack does it for what a moment owes to the one before.
func TestSceneFindsStepsBack(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		spoil func(m *Machine)
		want  string
	}{
		{"a generation back", func(m *Machine) { m.Generation-- }, "I3"},
		{"an incarnation back", func(m *Machine) { m.LastIncarnation-- }, "I3"},
		{"a predecessor gone", func(m *Machine) { m.Slots[0].Serving = nil }, "I5: 0/1"},
		{"a predecessor told to go", func(m *Machine) { m.Slots[0].Serving.State = Draining }, "I5: 0/1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := mustPlay(t, running2+"reload #1").m
			before := sceneOf(m)
			if err := before.compare(m, Tick{}); err != nil {
				t.Fatalf("before: %v", err)
			}
			tc.spoil(m)
			if err := before.compare(m, Tick{}); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
