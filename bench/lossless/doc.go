// The lossless command puts prefork and its peers through what happens to a
// service, one after the other on the same machine, and says what each lost:
//
//	go run ./bench/lossless                        everything, in about half an hour
//	go run ./bench/lossless -quick                 the same in small
//	go run ./bench/lossless -scenario hang,crash -subject prefork,nginx
//
// # What it promises
//
// Every subject gets the same load, open loop and without a retry (bench/load), for
// as long as the same things happen to it. Subjects take turns in each repetition,
// and in the other direction in the next, so that a slow minute of the machine
// meets all of them. A subject or a case that is left out is named, with the reason.
//
// A round in which the generator itself could not keep its schedule, and nothing but
// time was too short, is made again, for any subject, and said to have been.
//
// What prefork must not lose is judged by count: the exit code is 1 when it lost
// more. Latencies and ratios are shown beside their limits, and count only with
// -strict, because a machine that is busy otherwise spoils them.
//
// nginx and gunicorn come from Debian's packages, installed when they are absent
// (not with -install=false). Their configurations stand in a temporary folder.
// Whatever was started has ended when the command does, also after ^C.
//
// # What it does not
//
// A request that is not answered within two seconds counts as lost, and the
// latencies are those of the answered ones: read both. The generator runs on the same
// machine and takes a part of it. So the figures compare subjects in one run, and
// say little about another machine.
//
// # How it hangs together
//
//	subject ──start──► server ◄── reload, scale, signals ── scenario ──► rows
//	                     ▲                                     │          │
//	                     └──────── requests ─── bench/load ◄───┘          ├──► table
//	                                                                      ├──► verdicts
//	                                                                      └──► README.md, SVG
//
// The command owns no goroutine beside those of bench/load and bench/peer.
package main
