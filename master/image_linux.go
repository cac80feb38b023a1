package master

import (
	"os"

	"prefork/master/process"
	"prefork/master/supervise"
)

// newerOnDisk is what operators are told who may have meant to deploy.
const newerOnDisk = "the program on disk is another one by now, and a reload starts workers of the one that runs: stop and run again to serve with the new one"

// tellNewer finds out whether workers of this master's own image run other code
// than stands on disk. A file that is not there any more is no newer one: some
// people remove it once it runs.
func (m *master) tellNewer() {
	newer := false
	if path, err := os.Executable(); err == nil { // as it was called at the start
		onDisk, err := os.Stat(path)
		running, ownErr := os.Stat(process.Self)
		newer = err == nil && ownErr == nil && !os.SameFile(onDisk, running)
	}
	if m.newer.Store(newer); newer {
		m.journal.note(supervise.Note{Level: supervise.Warn, Text: "reload keeps the code", Reason: newerOnDisk})
	}
}
