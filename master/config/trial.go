//go:build trial

package config

// The app trial misbehaves on request: only a binary that is built for tests has
// it.
func init() { apps = append(apps, "trial") }
