package supervise

import (
	"encoding/json"
	"fmt"
	"slices"
)

// snapshotVersion is what Snapshot writes. Restore reads it and, once there is
// one, the version before it.
const snapshotVersion = 1

// snapshotMax bounds what Restore reads, in bytes: 1,024 slots with every seat
// taken and full histories stay below it.
const snapshotMax = 32 << 20

// numbersMax bounds the clock that Restore reads, and everything that is counted
// up for ever: far from where a sum would overflow. The clock, in nanoseconds,
// comes there in 146 years.
const numbersMax = 1 << 62

type snapshot struct {
	Version int    `json:"version"`
	Now     Time   `json:"now"`
	State   *state `json:"state"`
}

// Snapshot returns the machine as versioned JSON.
func (m *Machine) Snapshot() []byte {
	b, err := json.Marshal(snapshot{Version: snapshotVersion, Now: m.now, State: &m.state})
	if err != nil {
		panic("supervise: state cannot be marshalled: " + err.Error()) // plain data: only a programming error does this
	}
	return b
}

// Restore makes a machine from a snapshot. It refuses what is too large, of an
// unknown version, not JSON, beyond its bounds, or breaks an invariant.
func Restore(b []byte) (*Machine, error) {
	if len(b) > snapshotMax {
		return nil, fmt.Errorf("read snapshot: %d bytes are more than %d", len(b), snapshotMax)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	if head.Version != snapshotVersion {
		return nil, fmt.Errorf("read snapshot: version %d is not one that this program knows (%d)", head.Version, snapshotVersion)
	}
	var s snapshot
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	if s.State == nil {
		return nil, fmt.Errorf("read snapshot: it has no state")
	}
	m := &Machine{state: *s.State, now: s.Now}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	if err := m.checkNumbers(); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	return m, nil
}

// checkNumbers refuses what counting cannot have reached.
func (m *Machine) checkNumbers() error {
	numbers := []uint64{uint64(m.now), m.LastGeneration, m.LastIncarnation, m.LastAccount} // below zero is very large
	for _, a := range m.Accounts {
		numbers = append(numbers, a.Given, a.Finished, a.Cut, a.LeftBehind, uint64(a.Gone), uint64(a.BeganAt), uint64(a.DoneAt), uint64(a.AnswerBy))
	}
	for _, s := range m.Slots {
		numbers = append(numbers, uint64(s.Failures))
		for _, w := range s.workers() {
			numbers = append(numbers, uint64(w.Tries))
		}
	}
	if most := slices.Max(numbers); most > numbersMax {
		return fmt.Errorf("the clock, or something that is counted, is at %d", most)
	}
	return nil
}
