package worker

import "os"

// commandName is what ps, top and pgrep show for a worker; the kernel keeps 15
// bytes (proc_pid_comm(5)). A master goes by the name of the binary.
const commandName = "prefork-worker"

// nameProcess lets people tell workers from their master. It writes the file
// because prctl(PR_SET_NAME) names the calling thread, which need not be the
// one that stands for the process.
func nameProcess() {
	// Without /proc, or on a read-only one, the worker serves under another name.
	_ = os.WriteFile("/proc/self/comm", []byte(commandName), 0)
}
