// The http command measures what one request costs a server in CPU time, and one
// idle connection in memory, for prefork and its peers on the same machine:
//
//	go run ./bench/http                        everything, in about seven minutes
//	go run ./bench/http -quick                 the same in small
//	go run ./bench/http -mode keepalive,short -subject prefork,nginx -rounds 20
//
// # What it promises
//
// Every subject has one worker, bound to one core with all of its processes and
// threads, and the load generator (bench/load, a closed loop) is bound to another.
// Subjects take turns in each round, in another order each time, each in a process
// of its own that nobody else runs beside, warmed up before it is measured. Ratios
// are taken within a round, so that a slow minute of the machine meets both sides. A
// subject that is left out or given up is named, with the reason.
//
// CPU is the user and system time of all processes of a subject, of prefork both
// master and worker, as utime and stime in /proc/PID/stat count it, but read from the
// processes' clocks in nanoseconds. A request that is not answered ends the subject.
//
// Memory is what no file stands behind (Pss_Anon in /proc/PID/smaps_rollup: RssAnon,
// with what master and worker share counted once), while 12,000 connections wait that
// have had an answer. It is compared with the same server after as many connections
// that were closed again, and, in a column of its own, with the fresh server: a
// program with a garbage collector keeps what it had and uses it for the next ones. The
// larger of the two is judged.
//
// What prefork must keep is judged by the medians: the exit code is 1 when it costs
// more.
//
// Whatever was started has ended when the command does, also after ^C; servers,
// sources and configurations stand in a temporary folder.
//
// # What it does not
//
// It does not tell how much a server can do. The generator needs a core, too, and
// with short connections more of it than the server of its own: where a server is
// not busy all the time, the table says so, and going to sleep and waking between
// requests is part of what it costs.
//
// # Fairness
//
// The answer has the same body, type and length everywhere, and no access log is
// written. Beside that each subject is as its documentation sets it up, except:
//
//	prefork   one worker, --helpers 0: with one worker nobody could help. The rest
//	          are defaults; it sets TCP_DEFER_ACCEPT and GOMAXPROCS=2 by itself.
//	nginx     one worker, reuseport, and deferred, which spares it a wake-up for each
//	          connection as it does us. Limits that end long connections are off.
//	C floor   no parsing, one epoll loop, TCP_DEFER_ACCEPT, a read right after accept;
//	          with short connections it closes unasked. What is left is the kernel.
//	gnet      no parsing, one loop, SO_REUSEPORT; with short connections it closes
//	          unasked. It has no option for TCP_DEFER_ACCEPT.
//	fasthttp  its own server, without its Server header, which the others do not send.
//	net/http  as it is.
//	Node.js   module http, connections may be idle for an hour.
//
// On one core the Go runtime gives gnet, fasthttp and net/http GOMAXPROCS=1.
//
// nginx, Node.js and the C compiler come from Debian's packages, installed when they
// are absent (not with -install=false). The Go servers are programs of their own
// below this folder, so that nothing of them reaches prefork.
//
// # How it hangs together
//
//	definitions ──workshop──► subjects ──lab──► samples ──► sections ──► tables, verdicts
//	                                      ▲                         └──► README.md, SVG
//	                     bench/load/cmd ──┘ (idle: the lab itself asks)
//
// The command owns no goroutine beside those of bench/peer.
package main
