package master

import (
	"encoding/json"
	"reflect"
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
		TLSCert: "/cert", TLSKey: "/key", Certificate: config.Certificate{Chain: "chain", Key: "key"},
	}
	want := ipc.Settings{
		App: "static", Engine: "goroutines", Root: "/srv",
		IdleTimeout: 1 * time.Second, HeaderTimeout: 2 * time.Second, BodyTimeout: 3 * time.Second, OrphanTimeout: 4 * time.Second,
		MaxHeader: 5, MaxBody: 6, Identify: true,
		TLS: &ipc.TLS{Certificate: "chain", Key: "key", TicketKeys: [][]byte{{7}, {8}}},
	}
	var got ipc.Settings
	if err := json.Unmarshal(settingsFor(cfg, [][]byte{{7}, {8}}), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("settings are %+v, %v, want %+v", got, err, want)
	}
	cfg.TLSCert, cfg.TLSKey, want.TLS, got = "", "", nil, ipc.Settings{}
	if err := json.Unmarshal(settingsFor(cfg, [][]byte{{7}}), &got); err != nil || got != want {
		t.Errorf("without TLS settings are %+v, %v, want %+v", got, err, want)
	}
}
