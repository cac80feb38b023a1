package jobs

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"prefork/worker/proto"
	"prefork/worker/reactor"
)

// Config says how jobs are done. A zero duration stands for reactor's default.
type Config struct {
	// Lend and Compute are those of the loop, see reactor.Loop. Required.
	Lend, Compute func(reactor.Errand)
	// Handler answers the requests. nil: the application of the proto.HTTP does.
	Handler http.Handler
	// StreamBody lets that application read a long body as it comes
	// (RequestBodyStream), as fasthttp.Server.StreamRequestBody does; of one that breaks
	// off it then has read a part, and PostBody returns the words of the error. false: it
	// is called when the body is there.
	StreamBody bool
	// BodyTimeout bounds the time in which a body has to come, however steadily it
	// does.
	BodyTimeout time.Duration
	// WriteTimeout bounds the time in which a client takes not one byte.
	WriteTimeout time.Duration
}

// Jobs does the jobs of one proto.HTTP.
type Jobs struct{ config Config }

// New prepares Jobs; zero durations of config get their defaults.
func New(config Config) *Jobs {
	if config.BodyTimeout <= 0 {
		config.BodyTimeout = reactor.BodyTimeoutDefault
	}
	if config.WriteTimeout <= 0 {
		config.WriteTimeout = reactor.WriteTimeoutDefault
	}
	return &Jobs{config: config}
}

// Serve has the proto.HTTP of a configuration send its jobs here.
func (s *Jobs) Serve(config *proto.HTTPConfig) {
	config.Send = s.send
	if s.config.Handler != nil {
		config.Place = func(*fasthttp.RequestCtx) proto.Place { return proto.OnGoroutine }
	}
}

func (s *Jobs) send(j *proto.Job, to proto.Place) {
	task := &job{Job: j, config: &s.config, pooled: to == proto.OnPool}
	if to == proto.OnPool {
		s.config.Compute(task.run)
		return
	}
	s.config.Lend(task.run)
}

// job is a request on its way.
type job struct {
	*proto.Job
	config *Config
	pooled bool
	lent   *reactor.Lent
	body   *body // what is read here; nil: the request is whole
	begun  bool  // something was sent
}

// run implements reactor.Errand.
func (j *job) run(lent *reactor.Lent) reactor.Result {
	j.lent = lent
	j.SetAddresses(j.addresses)
	if j.Body == nil {
		answer, next := j.answer()
		return reactor.Result{Answer: answer, Rest: lent.Unread(), Next: next}
	}
	b, err := openBody(*j.Body, lent, j.config.BodyTimeout)
	if err != nil {
		defer j.End()
		return reactor.Result{Answer: j.Refuse(http.StatusServiceUnavailable), Next: reactor.Close}
	}
	answer, next := j.answerWith(b)
	return reactor.Result{Answer: answer, Rest: b.rest(), Next: next}
}

// answerWith answers a request whose body is read here. What the body turns out to be
// decides, whatever the application has said, unless that has begun to go out.
func (j *job) answerWith(b *body) (answer []byte, next reactor.Phase) {
	switch j.body = b; {
	case j.config.Handler != nil:
		answer, next = j.answer()
	case j.config.StreamBody:
		j.Ctx().Request.SetBodyStream(b, j.Body.Length)
		answer, next = j.answer()
	case j.hold(b):
		answer, next = j.answer()
	default: // the application is not called
		j.End()
	}
	switch state := b.finish(); {
	case state == whole:
		return answer, next
	case state == unwanted:
		return answer, reactor.Close
	case state == cutOff || j.begun: // or too slow: nobody waits for an answer
		return nil, reactor.Close
	default:
		return j.Refuse(int(state)), reactor.Close
	}
}

// hold reads a body into memory. It returns false if that has not come to a good end;
// else the request has it.
func (j *job) hold(b *body) bool {
	held, err := io.ReadAll(b)
	if err != nil {
		return false
	}
	j.Ctx().Request.SetBodyRaw(held)
	return true
}

// answer returns the answer, or sends it if it is long or a stream.
func (j *job) answer() ([]byte, reactor.Phase) {
	defer func() { j.End() }()
	if j.config.Handler != nil {
		return j.handle()
	}
	j.Run()
	response := &j.Ctx().Response
	if !response.IsBodyStream() || j.pooled { // a slow client must not hold the pool
		return j.Print()
	}
	last := j.Complete()
	if err := j.stream(response); err != nil || last {
		return nil, reactor.Close
	}
	return nil, reactor.Idle
}

// stream sends a response while its body is still being made.
func (j *job) stream(response *fasthttp.Response) error {
	to, err := j.client()
	if err != nil {
		return err
	}
	w := bufio.NewWriter(to)
	if err := response.Write(w); err != nil {
		return err
	}
	return w.Flush()
}

// client is for who begins to send.
func (j *job) client() (*client, error) {
	conn, err := j.lent.Conn()
	if err != nil {
		return nil, err
	}
	j.begun = true
	return &client{Conn: conn, timeout: j.config.WriteTimeout}, nil
}

func (j *job) addresses() (local, remote net.Addr) {
	conn, err := j.lent.Conn()
	if err != nil {
		return nil, nil
	}
	return conn.LocalAddr(), conn.RemoteAddr()
}
