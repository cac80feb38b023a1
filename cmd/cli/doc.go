// Package cli is what operators type: the command prefork, and any Go program that
// is its own master.
//
//	func main() {
//		os.Exit(cli.Main(func(w *worker.Worker) error { return w.ServeHTTP(mux) }))
//	}
//
// Such a program has all commands and flags of prefork but for those that choose a
// built-in app: its app is the function. Master and workers are processes of one
// binary, and a worker starts as a new one: nothing that main did before is shared.
//
// The command is a function of its arguments and environment: flags go in; a running
// master (run), a request to one (status, reload, scale, …) or a line that says what
// is wrong comes out.
//
//	arrange.go     arguments in an order that the flag parser understands
//	settings.go    the flags of the configuration's keys, and their help
//	loader.go      reads the file; flags, variables and file become a configuration
//	check.go       show the configuration, or what is wrong with it
//	serve.go       run: logs, banner, and the master itself
//	request.go     reload, upgrade, scale, stop, reopen: ask the master and wait
//	show.go        status, events, version: print what is there
//	completion.go  what a shell asks when somebody presses TAB
//	printable.go   what a worker wrote, fit for logs and terminals
//	exit.go        exit codes and error lines
//
// The same binary is also the exec step and the worker: the master
// starts it with a first argument that no operator types. With another one it
// answers the scripts in completion/.
package cli
