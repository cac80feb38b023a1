package master

import (
	"encoding/json"
	"testing"
	"time"

	"prefork/ipc"
	"prefork/master/config"
)

// TestSettingsFor: a worker hears of everything that the configuration says about
// it, and of nothing else.
func TestSettingsFor(t *testing.T) {
	t.Parallel()
	cfg := config.Config{
		Name: "shop", Environment: map[string]string{"PASSWORD": "secret"},
		App: "static", Engine: "goroutines", Root: "/srv",
		IdleTimeout: 1 * time.Second, HeaderTimeout: 2 * time.Second, BodyTimeout: 3 * time.Second, OrphanTimeout: 4 * time.Second,
		MaxHeader: 5, MaxBody: 6, Identify: true,
	}
	want := ipc.Settings{
		App: "static", Engine: "goroutines", Root: "/srv",
		IdleTimeout: 1 * time.Second, HeaderTimeout: 2 * time.Second, BodyTimeout: 3 * time.Second, OrphanTimeout: 4 * time.Second,
		MaxHeader: 5, MaxBody: 6, Identify: true,
	}
	var got ipc.Settings
	if err := json.Unmarshal(settingsFor(cfg), &got); err != nil || got != want {
		t.Errorf("settings are %+v, %v, want %+v", got, err, want)
	}
}
