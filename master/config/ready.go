package config

import "time"

// readyAutoAfter is how long a program that says nothing must live under "auto".
const readyAutoAfter = time.Second

// Ready is when a program counts as ready: when it says so (sd_notify(3)
// READY=1), or when it has lived for a while, whichever comes first.
type Ready struct {
	Notify bool          // its READY=1 counts
	After  time.Duration // so long alive counts too; 0: it has to say it
}
