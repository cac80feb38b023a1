package proto

import (
	"bufio"
	"bytes"
	"net"

	"github.com/valyala/fasthttp"

	"prefork/worker/reactor"
)

// What a zero field of HTTPConfig stands for.
const (
	MaxHeaderDefault = 8 << 10
	MaxBodyDefault   = 1 << 20
)

// streamMax bounds an answer whose body comes from an io.Reader, in bytes.
const streamMax = 64 << 20

// HTTPConfig says what an HTTP serves and what it puts up with.
type HTTPConfig struct {
	// App answers the requests. Required. It runs on the loop and must not block;
	// the package comment says what works in its RequestCtx.
	App fasthttp.RequestHandler
	// MaxHeader bounds a request's line and header fields together, in bytes;
	// beyond: 431. 0: 8 KiB.
	MaxHeader int
	// MaxBody bounds a request's decoded body, in bytes; beyond: 413. 0: 1 MiB.
	MaxBody int
	// Identity, if not empty, is the value of a Prefork-Worker header in every
	// answer.
	Identity string
	// Draining says whether a connection should end with the answer at hand,
	// usually (*reactor.Loop).Draining. nil: never.
	Draining func() bool
	// Answered is called once for each request answered, refused ones
	// included. nil: nobody counts.
	Answered func()
	// Addresses returns the ends of an open connection, nil for one that it does
	// not know. It is called when App asks for them. nil: nobody knows.
	Addresses func(fd int) (local, remote net.Addr)
}

// HTTP is what the HTTP connections of one loop share: the configuration and
// one of each of fasthttp's objects, since the loop answers one request at a
// time. It is for that loop's goroutine alone.
type HTTP struct {
	config HTTPConfig
	limits limits

	exchange *exchange    // nil: the application has kept it
	target   fasthttp.URI // only to see whether the request's is well-formed
	source   bytes.Reader
	reader   *bufio.Reader // over source
	sink     sink
	writer   *bufio.Writer // over sink
}

// NewHTTP prepares an HTTP; zero fields of config get their defaults.
func NewHTTP(config HTTPConfig) *HTTP {
	if config.MaxHeader <= 0 {
		config.MaxHeader = MaxHeaderDefault
	}
	if config.MaxBody <= 0 {
		config.MaxBody = MaxBodyDefault
	}
	if config.Draining == nil {
		config.Draining = func() bool { return false }
	}
	if config.Answered == nil {
		config.Answered = func() {}
	}
	h := &HTTP{config: config, limits: limits{header: config.MaxHeader, body: config.MaxBody, stream: streamMax}}
	// fasthttp parses a header only as a whole, inside its reader's buffer.
	h.reader = bufio.NewReaderSize(&h.source, config.MaxHeader)
	h.writer = bufio.NewWriter(&h.sink)
	return h
}

// NewHandler returns the handler of a new connection.
func (h *HTTP) NewHandler() reactor.Handler { return &httpConn{http: h} }

// MaxInput is what reactor.Config.MaxInput must be, so that the largest
// message within the limits fits.
func (h *HTTP) MaxInput() int { return h.limits.message() }

// httpConn is one connection's conversation. All that it remembers from call
// to call is how far the message at hand has come.
type httpConn struct {
	http  *HTTP
	frame frame
	fd    int32 // 0: unknown
	// afterPost: an empty line may follow.
	afterPost bool
}

// Open tells which connection this is, for HTTPConfig.Addresses. It comes BEFORE
// the first Handle, or not at all.
func (c *httpConn) Open(fd int) { c.fd = int32(fd) }

// Handle implements reactor.Handler: it answers the first message of in, once
// it is there as a whole.
func (c *httpConn) Handle(in, out []byte) (consumed int, output []byte, next reactor.Phase) {
	if c.afterPost {
		// Browsers of old ended a form with an empty line more than they had
		// announced (RFC 9112, section 2.2).
		if len(in) == 1 && in[0] == lineEnd[0] {
			return 0, out, reactor.Header
		}
		c.afterPost = false
		if bytes.HasPrefix(in, lineEnd) {
			return len(lineEnd), out, reactor.Idle
		}
	}
	return c.handle(in, out)
}

func (c *httpConn) handle(in, out []byte) (consumed int, output []byte, next reactor.Phase) {
	h := c.http
	if h.exchange == nil {
		h.exchange = newExchange(h.config.Addresses)
	}
	begun := c.frame.header > 0 // by an earlier call
	v := complete
	if !begun {
		if v = c.begin(in); v == complete {
			out = h.appendContinue(out)
		}
	}
	if v == complete {
		v = c.finish(in, begun)
	}
	switch {
	case v == incomplete && c.frame.header == 0:
		return 0, out, reactor.Header
	case v == incomplete:
		return 0, out, reactor.Body
	case v != complete:
		return 0, h.refuse(out, v), reactor.Close
	}
	consumed, c.frame = c.frame.end, frame{}
	c.afterPost = h.exchange.ctx.IsPost() // BEFORE the application can change it
	output, next = h.answer(int(c.fd), out, len(in) > consumed)
	return consumed, output, next
}

// begin reads the header, once it is there as a whole, and what it says about
// the body.
func (c *httpConn) begin(in []byte) verdict {
	h := c.http
	if v := c.frame.findHeader(in, h.limits); v != complete {
		return v
	}
	if v := h.readHeader(in[:c.frame.header]); v != complete {
		return v
	}
	return c.frame.expectBody(h.exchange.ctx.Request.Header.ContentLength(), h.limits)
}

// finish reads the body, once it is there as a whole. A header that an earlier
// call has read is read again: the exchange is shared, and other connections have used
// it since.
func (c *httpConn) finish(in []byte, again bool) verdict {
	h := c.http
	if v := c.frame.findEnd(in, h.limits); v != complete {
		return v
	}
	if again {
		if v := h.readHeader(in[:c.frame.header]); v != complete {
			return v
		}
	}
	if c.frame.length == chunked {
		if found, ok := readFields(in[c.frame.searched:c.frame.end]); !ok || found != (fields{}) {
			return badRequest
		}
	}
	return h.readBody(in[c.frame.header:c.frame.end])
}

// readHeader has fasthttp parse a header into the exchange. It must use up the whole
// block: fasthttp takes a bare line feed for the end of a line, and where
// others disagree about the end of the header, one request becomes two.
func (h *HTTP) readHeader(block []byte) verdict {
	request := &h.exchange.ctx.Request // empty, but for a header that fasthttp forgets
	h.read(block)
	if err := request.Header.Read(h.reader); err != nil || h.unread() > 0 {
		return badRequest
	}
	if v := checkHeader(&request.Header, block); v != complete {
		return v
	}
	if err := h.target.Parse(request.Header.Host(), request.Header.RequestURI()); err != nil {
		return badRequest
	}
	return complete
}

// readBody has fasthttp decode the body, after readHeader. It leaves forms
// alone: parsing them early would write large files to disk.
func (h *HTTP) readBody(body []byte) verdict {
	const parseForms = false
	h.read(body)
	if err := h.exchange.ctx.Request.ContinueReadBody(h.reader, h.limits.body, parseForms); err != nil || h.unread() > 0 {
		return badRequest
	}
	return complete
}

func (h *HTTP) read(data []byte) {
	h.source.Reset(data)
	h.reader.Reset(&h.source)
}

func (h *HTTP) unread() int { return h.reader.Buffered() + h.source.Len() }
