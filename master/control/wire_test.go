package control

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestGoldenWire pins the names that scripts rely on. A changed golden file
// needs a reason: fields are added, and never renamed.
func TestGoldenWire(t *testing.T) {
	t.Parallel()
	report := ChangeReport{
		Cause: "reload", Result: ResultOK, Generation: 3, Seconds: 0.21, Final: true, Workers: 3, Draining: 1, Unknown: 1,
		HandedOver: 64, Helped: 5, Rescued: 0, Migrated: 0, Finished: 2, Cut: 1, LeftBehind: 4, Dropped: 7, Text: "in words",
	}
	for name, value := range map[string]any{
		"status": Status{
			Name: "web", PID: 1, Version: "0.1.0", State: "serving", Generation: 3, UptimeSeconds: 12.5,
			Listen:   []ListenStatus{{Name: "0", Address: "127.0.0.1:8080", ReusePort: true}},
			Steering: "ebpf", Helpers: 2,
			Workers: []WorkerStatus{
				{
					Slot: 0, Incarnation: 7, Generation: 3, PID: 4242, State: "ready", Steered: true, AcceptQueue: 0,
					Connections: 1, Accepted: 10, Helped: 2, Requests: 90, RSSBytes: 9000000, CPUSeconds: 0.4, AgeSeconds: 11, Restarts: 0,
				},
				{Slot: 1, Incarnation: 9, Generation: 3, State: "waiting", Restarts: 4, RetryInSeconds: 1.5},
			},
			LastReload: ReloadStatus{Result: ResultOK, Seconds: 0.21},
		},
		"answer":             Answer{Result: ResultRolledBack, Error: "slot 2: exit code 3", Seconds: 1.25, Generation: 3, Workers: 4},
		"answer_with_change": Answer{Result: ResultOK, Seconds: 0.21, Generation: 3, Workers: 4, Change: &report},
		"status_after_change": Status{
			LastReload: ReloadStatus{Result: ResultOK, Seconds: 0.21, Change: &report}, LastChange: &report,
		},
		"health": Health{State: "serving"},
		"event": Event{
			Time: time.Date(2025, 1, 2, 3, 4, 5, 678901234, time.UTC), Message: "worker is ready", Level: "info",
			Fields: map[string]any{"slot": 2, "incarnation": 7},
		},
		"event_without_fields": Event{Time: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC), Message: "m", Level: "info"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := encode(value)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, body, "", "  "); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, filepath.Join("testdata", name+".json"), got.Bytes())
		})
	}
}

func TestGoldenEventStream(t *testing.T) {
	t.Parallel()
	e := Event{Time: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC), Message: "two\nlines", Level: "info"}
	body, err := encode(e)
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, filepath.Join("testdata", "stream.txt"), append(encodeEvent(e), frame(droppedType, body)...))
}

func checkGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
