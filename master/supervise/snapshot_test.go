package supervise

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// snapshotStory leads to a machine in which as many fields as possible say
// something: a rolling reload under way, one that waits, one that is read, a slot that retires.
const snapshotStory = `
machine slots=4 surge=1 hang=10s own=yes helpers=1
started
everybody ready
wait 5s
helping slow
slots empty slowly
scale #9 3
everybody gone
queues 0 3 0
exited 2/3 killed by SIGSEGV
ready 2/5
listening 2/5
exited 2/5 exit code 1
hang 1/2
wait 5s
reload #1 20s
ready 0/7
listening 0/7
reload #2
scale #3 4
disk slow
reload #4 1m
signal HUP
signal HUP`

// TestSnapshotGolden pins the format: a master of this version must be able to
// read what an earlier one of the same snapshot version wrote. If this test
// fails, raise snapshotVersion and keep reading the old one.
func TestSnapshotGolden(t *testing.T) {
	t.Parallel()
	s := mustPlay(t, snapshotStory)
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, s.m.Snapshot(), "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	golden(t, "snapshot-v1.json", pretty.String())

	fixture, err := os.ReadFile(filepath.Join("testdata", "snapshot-v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	restored, err := Restore(fixture)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := restored.Status(s.now), s.m.Status(s.now); !reflect.DeepEqual(got, want) {
		t.Errorf("the restored machine's status is\n%+v\nnot\n%+v", got, want)
	}
}

// TestSnapshotForgetsNothing sets every field of the state to something and
// wants it back: a field without its JSON name, or an unexported one, is lost.
func TestSnapshotForgetsNothing(t *testing.T) {
	t.Parallel()
	var full state
	fill(reflect.ValueOf(&full).Elem())
	b, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var again state
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, full) {
		t.Errorf("got %+v\nwant %+v", again, full)
	}
}

// fill sets everything below v to something that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64:
		v.SetUint(math.MaxUint64) // more than a float64 holds
	case reflect.Uint8:
		v.SetUint(1)
	default:
		panic(v.Kind())
	}
}

func TestCloneMachine(t *testing.T) {
	t.Parallel()
	m := mustPlay(t, snapshotStory).m
	before := m.Snapshot()
	c := cloneMachine(m)
	if !bytes.Equal(c.Snapshot(), before) {
		t.Error("the clone is not the same")
	}
	torment(t, c, rand.New(rand.NewPCG(1, 1)), 200)
	if !bytes.Equal(m.Snapshot(), before) {
		t.Error("the clone's future is the original's")
	}
}

func TestStatusIsACopy(t *testing.T) {
	t.Parallel()
	m := mustPlay(t, running2).m
	st := m.Status(epoch)
	st.Workers[0].State, st.Slots = Killed, 9
	if again := m.Status(epoch); again.Workers[0].State != Ready || again.Slots != 2 {
		t.Errorf("changing a status has changed the machine: %+v", again)
	}
}

// TestRevisionsAreKeptWhileNeeded: a configuration must not be forgotten while
// a worker of it may have to be replaced.
func TestRevisionsAreKeptWhileNeeded(t *testing.T) {
	t.Parallel()
	s := mustPlay(t, snapshotStory)
	if got := s.m.Kept; !reflect.DeepEqual(got, []uint64{1, 2, 3}) {
		t.Errorf("got %v: generation 1 serves, 2 comes, and 3 waits", got)
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	good := mustPlay(t, running2).m.Snapshot()
	for _, tc := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"nothing", nil, "read snapshot: unexpected end of JSON input"},
		{"no JSON", []byte("prefork"), "read snapshot: invalid character 'p'"},
		{"cut off", good[:len(good)-1], "read snapshot: unexpected end of JSON input"},
		{"two", append(append([]byte(nil), good...), good...), "read snapshot: invalid character '{' after top-level value"},
		{"too large", make([]byte, snapshotMax+1), "read snapshot: 33554433 bytes are more than 33554432"},
		{"of the future", []byte(`{"version":2}`), "read snapshot: version 2 is not one that this program knows (1)"},
		{"of no version", []byte(`{}`), "read snapshot: version 0 is not one that this program knows (1)"},
		{"no state", []byte(`{"version":1}`), "read snapshot: it has no state"},
		{"null state", []byte(`{"version":1,"state":null}`), "read snapshot: it has no state"},
		{"empty state", []byte(`{"version":1,"state":{}}`), "read snapshot: target: workers is 0: it must be 1 to 1024"},
		{"wrong type", []byte(`{"version":1,"state":{"wanted":"two"}}`), "read snapshot: json: cannot unmarshal string"},
		{"beyond its bounds", bytes.Replace(good, []byte(`"last_incarnation":2`), []byte(`"last_incarnation":4611686018427387905`), 1), "read snapshot: the clock, or something that is counted, is at 4611686018427387905"},
		{"less than no failures", bytes.Replace(good, []byte(`"failures":0`), []byte(`"failures":-1`), 1), "read snapshot: the clock, or something that is counted, is at 18446744073709551615"},
		{"broken invariant", bytes.Replace(good, []byte(`"wanted":2`), []byte(`"wanted":3`), 1), "read snapshot: L1: 3 slots wanted, 2 there"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if m, err := Restore(tc.bytes); m != nil || err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestSnapshotFits proves the comment on snapshotMax.
func TestSnapshotFits(t *testing.T) {
	t.Parallel()
	large := Time(numbersMax)
	w := &worker{
		ID: WorkerID{SlotsMax, numbersMax}, Generation: numbersMax, Revision: numbersMax, PID: 1 << 22, State: Aborting,
		BornAt: large, ReadyAt: large, Deadline: large, GiveUpAt: large, Tries: 1000, Beat: numbersMax, BeatAt: large,
		Protocol: strings.Repeat("x", protocolMax), Recycle: "its resident memory has been above max-memory for a minute",
	}
	serving := *w
	for range heirsMax {
		w.Heirs = append(w.Heirs, WorkerID{SlotsMax, numbersMax})
	}
	for range watchesMax {
		serving.Watches = append(serving.Watches, watch{Slot: SlotsMax, Owner: numbersMax})
	}
	m := &Machine{}
	for range SlotsMax {
		s := &slot{Number: SlotsMax, Serving: &serving, Coming: w, Leaving: []*worker{w, w}, Restarts: numbersMax}
		for range respawnMax + 1 {
			s.Respawns = append(s.Respawns, large)
		}
		m.Slots = append(m.Slots, s)
	}
	if n := len(m.Snapshot()); n > snapshotMax/2 {
		t.Errorf("%d slots take %d bytes of %d: too close", SlotsMax, n, snapshotMax)
	}
}

// snapshots are seeds: machines about everything that a machine can be about.
func snapshots(t testing.TB) (all [][]byte) {
	for _, script := range []string{
		snapshotStory, running2, "machine slots=1", "machine slots=2\nstarted", running2 + "signal WINCH\nsignal TTIN",
		running2 + "stop #1", running2 + "scale #1 4\nready 2/3", running2 + "exited 0/1 exit code 1\nspawn-failed 0/3 final no",
		running2 + "recycle 0/1 old", running2 + "reload #1\nready 0/3",
		running3, running3 + "slots empty slowly\nhelping slow\nscale #1 2\neverybody gone", running3 + "helping slow\nexited 1/2 exit code 1\nmended 2",
	} {
		s, err := play(script)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s.m.Snapshot())
	}
	return all
}

// FuzzRestore wants every snapshot that is accepted to be one that can be
// lived with: no panic, and no broken invariant, whatever happens next. Each
// input is tried as it is and with a few of its values spoiled: a fuzzer that
// knows no JSON seldom gets further than to the parser.
func FuzzRestore(f *testing.F) {
	for _, b := range snapshots(f) {
		f.Add(b, uint64(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		liveWith(t, b, random)
		liveWith(t, spoil(b, random), random)
	})
}

// TestRestoreSpoiled is what FuzzRestore does, on every run.
func TestRestoreSpoiled(t *testing.T) {
	t.Parallel()
	seeds, lived, times := snapshots(t), 0, uint64(3000)
	if raceEnabled {
		times /= 4
	}
	for seed := range times {
		random := rand.New(rand.NewPCG(seed, 1))
		if liveWith(t, spoil(seeds[seed%uint64(len(seeds))], random), random) {
			lived++
		}
	}
	if lived < int(times)/10 {
		t.Errorf("only %d of %d spoiled snapshots were accepted: the test tries too little", lived, times)
	}
}

// liveWith restores a snapshot and has random things happen to the machine,
// unless it is refused.
func liveWith(t *testing.T, b []byte, random *rand.Rand) bool {
	t.Helper()
	m, err := Restore(b)
	if err != nil {
		return false
	}
	again, err := Restore(m.Snapshot())
	if err != nil || !bytes.Equal(again.Snapshot(), m.Snapshot()) {
		t.Fatalf("what was restored cannot be restored again: %v\n%s", err, b)
	}
	torment(t, m, random, 50)
	if t.Failed() {
		t.Fatalf("restored from\n%s", b)
	}
	return true
}

var values = regexp.MustCompile(`:(-?[0-9]+|true|false)`)

// spoil replaces up to three numbers and booleans of a snapshot.
func spoil(b []byte, random *rand.Rand) []byte {
	odd := []string{"-9223372036854775808", "-1", "0", "1", "2", "3", "4", "5", "1024", "1025", "4611686018427387904", "9223372036854775807", "18446744073709551615", "true", "false"}
	for range 1 + random.IntN(3) {
		places := values.FindAllSubmatchIndex(b, -1)
		if len(places) == 0 {
			return b
		}
		at := places[random.IntN(len(places))]
		b = slices.Concat(b[:at[2]], []byte(odd[random.IntN(len(odd))]), b[at[3]:])
	}
	return b
}

// torment has random things happen to a machine, likely or not.
func torment(t testing.TB, m *Machine, random *rand.Rand, times int) {
	t.Helper()
	now := m.now
	for range times {
		now += time.Duration(random.Int64N(int64(4 * time.Second)))
		ev := randomEvent(m, random)
		m.Step(now, ev)
		if err := m.Check(); err != nil {
			t.Errorf("after %s: %v", textOf(ev), err)
			return
		}
	}
}

// randomEvent is any event about anybody.
func randomEvent(m *Machine, random *rand.Rand) Event {
	id := WorkerID{Slot: random.IntN(4), Incarnation: random.Uint64N(8)}
	if n := len(m.Slots); n > 0 {
		if all := m.Slots[random.IntN(n)].workers(); len(all) > 0 {
			id = all[random.IntN(len(all))].ID
		}
	}
	generation, caller := m.LastGeneration, Caller(random.IntN(3))
	target := defaultTarget
	target.Slots = random.IntN(5)
	all := []Event{
		Started{}, Tick{}, ConfigLoaded{Caller: caller, Target: target}, ConfigRefused{Caller: caller},
		SocketsOpened{Generation: generation}, SocketsFailed{Generation: generation}, ReloadRequested{Caller: caller, Timeout: time.Second},
		ScaleRequested{Caller: caller, Workers: random.IntN(5)}, ScaleRequested{Relative: true, Delta: random.IntN(3) - 1},
		RecycleRequested{ID: id, Reason: "old"}, UpgradeRequested{Caller: caller}, ReopenRequested{Caller: caller},
		CallerLeft{Caller: caller}, WorkerSpawned{ID: id, PID: 7}, SpawnFailed{ID: id, Temporary: random.IntN(2) == 0},
		WorkerSaidReady{ID: id}, WorkerSaidReady{ID: id, Protocol: []string{"", "http/1", "echo"}[random.IntN(3)]}, WorkerSaidLeaving{ID: id}, WorkerSaidLeft{ID: id},
		WorkerMisbehaved{ID: id}, WorkerExited{ID: id}, HeartbeatsSampled{Beats: []Beat{{ID: id, Value: 1}}},
		WorkerSpoke{ID: id}, WorkerAskedForTime{ID: id, For: time.Second}, WorkerGaveUp{ID: id, Reason: "WATCHDOG=trigger"},
		WorkerSaidListening{ID: id}, WorkerSaidListening{ID: id}, WorkerSaidWatched{ID: id, Slot: random.IntN(5) - 1}, WorkerSaidWatched{ID: id, Slot: random.IntN(4)},
		QueuesSampled{Waiting: []int{0, random.IntN(2)}, Moved: random.IntN(2) == 0}, SocketsMended{Slot: random.IntN(6) - 1},
		emptied(m, random),
		SignalReceived{Signal: Signal(random.IntN(12)), Terminal: Terminal(random.IntN(3))},
	}
	if random.IntN(100) == 0 {
		return StopRequested{Caller: caller, Now: random.IntN(2) == 0}
	}
	return all[random.IntN(len(all))]
}

// emptied answers for the last slot, whether that was asked for or not.
func emptied(m *Machine, random *rand.Rand) Event {
	ev := SlotEmptied{Slot: len(m.Slots) - random.IntN(2), Deadline: 1, Left: random.IntN(3) - 1}
	if n := len(m.Slots); n > 0 && random.IntN(4) > 0 {
		ev.Slot, ev.Deadline = n-1, m.Slots[n-1].EmptyBy
	}
	return ev
}
