package worker

import (
	"encoding/json"
	"errors"
	"fmt"

	"prefork/ipc"
)

// parseSettings reads what the master wants of this worker. Zeros mean the
// defaults of the loop and of the app; an orphan timeout of 0 means that a
// worker without a master drains at once.
func parseSettings(encoded []byte) (ipc.Settings, error) {
	var s ipc.Settings
	if err := json.Unmarshal(encoded, &s); err != nil {
		return ipc.Settings{}, fmt.Errorf("decode settings: %w", err)
	}
	if err := checkSettings(s); err != nil {
		return ipc.Settings{}, fmt.Errorf("check settings: %w", err)
	}
	return s, nil
}

func checkSettings(s ipc.Settings) error {
	for _, value := range []struct {
		key    string
		number int64
	}{
		{"idle_timeout_ns", int64(s.IdleTimeout)},
		{"header_timeout_ns", int64(s.HeaderTimeout)},
		{"body_timeout_ns", int64(s.BodyTimeout)},
		{"orphan_timeout_ns", int64(s.OrphanTimeout)},
		{"drain_spread_ns", int64(s.DrainSpread)},
		{"max_header", int64(s.MaxHeader)},
		{"max_body", int64(s.MaxBody)},
	} {
		if value.number < 0 {
			return fmt.Errorf("%s is %d, which is below 0", value.key, value.number)
		}
	}
	return checkTicketKeys(s.TLS)
}

// checkTicketKeys: without any, a client could resume its session only with the
// worker that it has met.
func checkTicketKeys(t *ipc.TLS) error {
	if t == nil {
		return nil
	}
	if len(t.TicketKeys) == 0 {
		return errors.New("tls has no ticket_keys")
	}
	for i, key := range t.TicketKeys {
		if len(key) != ipc.TicketKeySize {
			return fmt.Errorf("tls has a ticket_keys[%d] of %d bytes, not %d", i, len(key), ipc.TicketKeySize)
		}
	}
	return nil
}
