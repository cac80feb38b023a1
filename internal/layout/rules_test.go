package layout

// rule says what one package may import. The standard library is free, except what
// is guarded, and what a pure package must not touch.
type rule struct {
	ours   []string // packages of this module, as paths below its root
	others []string // packages of other modules, and guarded ones
	why    string   // completes the sentence "it may not, because …"
	pure   bool     // see pureReason
}

// guarded are packages of the standard library that a rule has to name.
var guarded = map[string]string{
	"log":      "only the shells log, and by logrus; a leaf returns errors",
	"log/slog": "only the shells log, and by logrus; a leaf returns errors",
	"testing":  "it would end up in the binary",
	"plugin":   "a worker is a process, that is the point",
	"unsafe":   "a mistake there is no compile error and no panic",
}

const (
	xsys    = "golang.org/x/sys/unix"
	logrus  = "github.com/sirupsen/logrus"
	cli     = "github.com/urfave/cli/v2"
	http    = "github.com/valyala/fasthttp"
	gnet    = "github.com/panjf2000/gnet/v2"
	goleak  = "go.uber.org/goleak"
	toml    = "github.com/pelletier/go-toml/v2/unstable"
	plot    = "gonum.org/v1/plot"
	oneWay  = "imports run one way, cmd → master and worker → ipc, so that each can be read and tested without what stands above it"
	apart   = "the parts under master do not know each other: master joins them, and what they share is a plain type of supervise or config"
	leaf    = "a leaf that everybody builds on can build on nobody"
	copied  = "it is for people to read and copy"
	outside = "it sees the program as its users do, from outside, or a mistake inside would be repeated here"
)

// shared are the packages whose plain types the parts under master have in common.
var shared = []string{"master/config", "master/supervise"}

// rules has every package of the module. A new package fails until it stands here.
var rules = map[string]rule{
	"cmd/prefork": {ours: []string{"cmd/cli"}, why: "it is package cli, and nothing else"},
	"cmd/cli": {
		ours:   []string{"master", "master/config", "master/control", "master/process", "worker"},
		others: []string{cli, logrus, xsys},
		why:    oneWay,
	},

	"master": {
		ours: []string{
			"ipc", "master/config", "master/control", "master/listen", "master/notify", "master/process", "master/steer", "master/supervise",
		},
		others: []string{logrus, xsys},
		why:    oneWay + "; a master that imported worker could not be read without it",
	},
	"master/supervise": {
		pure: true,
		why:  "it decides, and everything that it decides on comes in as an event",
	},
	"master/config": {
		ours: []string{"master/supervise"},
		// toml: its parser works on bytes that somebody else has read.
		others: []string{toml},
		pure:   true,
		why:    "it says what the operator asked for, and nothing about how that is done",
	},
	"master/listen": {ours: shared, others: []string{xsys}, why: apart},
	"master/steer":  {others: []string{xsys}, why: apart + "; it knows sockets, and not what they are for"},
	// ipc: the names of the environment that a worker starts with are part of it.
	"master/process": {ours: []string{"ipc", "master/config", "master/supervise"}, others: []string{xsys}, why: apart},
	"master/notify":  {ours: shared, others: []string{xsys}, why: apart},
	// log: http.Server.ErrorLog has this type.
	"master/control": {ours: shared, others: []string{xsys, "log"}, why: apart},

	"worker": {
		ours:   []string{"ipc", "worker/goroutines", "worker/jobs", "worker/proto", "worker/reactor", "worker/static"},
		others: []string{http, xsys}, // http: a program gives it a handler of that kind
		why:    oneWay + "; a worker that imported master would carry a second supervisor in each process",
	},
	// unsafe: system calls that the scheduler does not hear of.
	"worker/reactor": {others: []string{xsys, "unsafe"}, why: "it knows descriptors, not protocols, masters or workers"},
	// log: http.Server.ErrorLog has this type.
	"worker/goroutines": {
		ours:   []string{"worker/reactor"}, // it accepts by its loop
		others: []string{xsys, "log"},
		why:    "it knows http.Handler and descriptors, not apps, masters or workers, so that it can serve any Go program",
	},
	"worker/static": {others: []string{xsys}, why: "it knows files and http.Handler, whoever serves it"},
	"worker/proto": {
		ours: []string{"worker/reactor"}, // the contract of a handler
		// net: fasthttp's RequestCtx has a net.Conn; ours gives addresses and does nothing.
		others: []string{http, "net"},
		pure:   true,
		why:    "it knows bytes, not descriptors",
	},

	"worker/jobs": {
		ours:   []string{"worker/proto", "worker/reactor"},
		others: []string{http, http + "/fasthttpadaptor"}, // the adaptor makes net/http's request of fasthttp's
		why:    "it knows requests and their connections, not apps, masters or workers",
	},

	"ipc": {others: []string{xsys, "unsafe"}, why: leaf},

	"internal/conformance": {
		others: []string{http, "pgregory.net/rapid", "log", "testing"},
		why:    outside + "; tests of several packages use it",
	},
	"internal/layout":  {why: outside},
	"internal/mutants": {why: outside},
	"internal/trials":  {why: outside},
	"internal/testproc": {
		others: []string{xsys, goleak, "testing"},
		why:    outside + "; and tests of every package use it, so that it would be an import cycle",
	},

	"bench/load":     {others: []string{xsys, "unsafe"}, why: outside},
	"bench/load/cmd": {ours: []string{"bench/load"}, why: outside},
	"bench/load/loadtest": {
		ours: []string{"bench/load"}, others: []string{"testing"},
		why: outside + "; tests of several packages use it",
	},
	"bench/lossless": {
		ours: []string{"bench/chart", "bench/load", "bench/peer", "bench/stats"}, others: []string{xsys},
		why: outside,
	},
	"bench/http": {ours: []string{"bench/chart", "bench/peer", "bench/stats"}, why: outside},
	// The servers of other people, as programs of their own.
	"bench/http/fasthttp": {others: []string{http}, why: outside},
	"bench/http/gnet":     {others: []string{gnet}, why: outside},
	"bench/http/nethttp":  {why: outside},
	"bench/peer":          {others: []string{xsys}, why: outside},
	"bench/stats":         {why: "it knows numbers, whoever has measured them"},
	"bench/chart": {
		others: []string{plot, plot + "/font", plot + "/plotter", plot + "/text", plot + "/vg", plot + "/vg/draw", plot + "/vg/vgsvg"},
		why:    "it draws whatever somebody has measured",
	},

	"examples":            {why: copied},
	"examples/fasthttp":   {ours: []string{"worker"}, others: []string{http}, why: copied},
	"examples/gohttp":     {ours: []string{"worker"}, why: copied},
	"examples/lineecho":   {ours: []string{"worker", "worker/reactor"}, why: copied},
	"examples/selfhosted": {ours: []string{"cmd/cli", "worker"}, why: copied},
}

// pureReason is why a pure package must not touch what pureImports, pureUses and
// checkPure name.
const pureReason = "a pure package is a function of its arguments, so that every rare path is a test of microseconds"

// pureImports are the packages that would make it something else; those below
// them count too, except the ones in pureExceptions.
var pureImports = []string{
	"os", "net", "syscall", "log", "context", "sync", "math/rand", "crypto/rand", "runtime", "unsafe",
	"io/ioutil", "embed", "plugin", xsys,
}

// pureExceptions only calculate.
var pureExceptions = []string{"net/netip", "net/url", "net/textproto"}

// pureUses are the parts of package time that ask the clock or wait for it.
var pureUses = []string{
	"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker",
}
