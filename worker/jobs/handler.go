package jobs

import (
	"bytes"
	"io"
	"net/http"
	"strconv"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"prefork/worker/proto"
	"prefork/worker/reactor"
)

// wholeAnswerMax is how much of a Handler's answer is held, in bytes, before it goes
// to the client as it comes.
const wholeAnswerMax = 64 << 10

// handle has the Handler answer.
func (j *job) handle() ([]byte, reactor.Phase) {
	request, err := j.request()
	if err != nil { // net/url is stricter than fasthttp and strict.go together
		return j.Refuse(http.StatusBadRequest), reactor.Close
	}
	w := &responseWriter{job: j, response: &j.Ctx().Response, header: http.Header{}}
	w.response.Header.SetNoDefaultContentType(true)
	if !j.serveHTTP(w, request) {
		return nil, reactor.Close
	}
	return w.finish()
}

// serveHTTP returns false when the Handler wants the connection closed, and nobody
// told.
func (j *job) serveHTTP(w http.ResponseWriter, request *http.Request) (served bool) {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			panic(v) // contained, see reactor.Loop.Lend
		}
	}()
	j.config.Handler.ServeHTTP(w, request)
	return true
}

// request makes net/http's request of fasthttp's. A body that is not here yet is read
// when the Handler does.
func (j *job) request() (*http.Request, error) {
	ctx := j.Ctx()
	request := new(http.Request)
	if err := fasthttpadaptor.ConvertRequest(ctx, request, true); err != nil {
		return nil, err
	}
	switch whole := ctx.Request.Body(); {
	case j.body != nil:
		request.Body, request.ContentLength = j.body, int64(j.Body.Length)
	case len(whole) > 0: // fasthttp uses it again, and a Handler may leave somebody behind who reads it
		request.Body = io.NopCloser(bytes.NewReader(bytes.Clone(whole)))
	}
	return request, nil
}

// responseWriter is an http.ResponseWriter and http.Flusher. A short answer is held
// and goes out by the loop; a longer one goes to the client as it comes, and a file by
// sendfile(2).
type responseWriter struct {
	job      *job
	response *fasthttp.Response
	header   http.Header
	status   int    // 0: not decided yet
	held     []byte // of the body
	outlet   outlet // nil: the body is held
	last     bool
	err      error // why the client gets no more
}

// Header implements http.ResponseWriter.
func (w *responseWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Of several calls the first one counts;
// what would be said before the answer (1xx) is not.
func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.outlet == nil && len(w.held)+len(p) <= wholeAnswerMax {
		w.held = append(w.held, p...)
		return len(p), nil
	}
	if w.begin(); w.err != nil {
		return 0, w.err
	}
	n, err := w.outlet.Write(p)
	w.err = err
	return n, err
}

// ReadFrom implements io.ReaderFrom, which http.ServeContent calls with a file.
func (w *responseWriter) ReadFrom(from io.Reader) (int64, error) {
	if limited, ok := from.(*io.LimitedReader); !ok || w.outlet == nil && limited.N <= wholeAnswerMax {
		return io.Copy(struct{ io.Writer }{w}, from)
	}
	w.WriteHeader(http.StatusOK)
	if w.begin(); w.err != nil {
		return 0, w.err
	}
	n, err := w.outlet.ReadFrom(from)
	w.err = err
	return n, err
}

// Flush implements http.Flusher.
func (w *responseWriter) Flush() {
	w.WriteHeader(http.StatusOK)
	if w.begin(); w.err == nil {
		w.err = w.outlet.flush()
	}
}

// begin sends the header, and what is held of the body. The rest then goes to the
// outlet.
func (w *responseWriter) begin() {
	if w.outlet != nil || w.err != nil {
		return
	}
	var to *client
	if to, w.err = w.job.client(); w.err != nil {
		return
	}
	w.fill()
	length, known := w.length()
	switch {
	case known:
		w.response.Header.SetContentLength(length)
		w.outlet = &measured{to: to, left: int64(length)}
	case w.job.IsHTTP11():
		w.response.Header.SetContentLength(proto.Chunked)
		w.outlet = newChunks(to)
	default:
		w.job.EndConnection() // which is the end of the body, too
		w.outlet = open{to}
	}
	w.last = w.job.Complete()
	if w.job.IsHead() || proto.IsBodiless(w.status) {
		w.outlet = nowhere{}
	}
	if _, w.err = to.Write(w.response.Header.Header()); w.err == nil && len(w.held) > 0 {
		_, w.err = w.outlet.Write(w.held)
	}
	w.held = nil
}

// fill puts what the Handler has said into the response.
func (w *responseWriter) fill() {
	w.response.SetStatusCode(w.status)
	if w.header.Get(fasthttp.HeaderContentType) == "" && w.header.Get(fasthttp.HeaderContentEncoding) == "" && len(w.held) > 0 {
		w.header.Set(fasthttp.HeaderContentType, http.DetectContentType(w.held))
	}
	for name, values := range w.header {
		if name == fasthttp.HeaderContentLength || name == fasthttp.HeaderTransferEncoding {
			continue // how a body is framed is for us to say
		}
		for _, value := range values {
			w.response.Header.Add(name, value)
		}
	}
}

// length is what the Handler has announced.
func (w *responseWriter) length() (n int, known bool) {
	n, err := strconv.Atoi(w.header.Get(fasthttp.HeaderContentLength))
	return n, err == nil && n >= 0
}

// finish ends the answer, and returns it if it was held.
func (w *responseWriter) finish() ([]byte, reactor.Phase) {
	w.WriteHeader(http.StatusOK)
	if w.outlet == nil && w.err == nil {
		w.fill()
		if length, known := w.length(); known && w.job.IsHead() {
			w.response.Header.SetContentLength(length)
		}
		w.response.SetBodyRaw(w.held)
		return w.job.Print()
	}
	if w.err == nil {
		w.err = w.outlet.end()
	}
	if w.last || w.err != nil {
		return nil, reactor.Close
	}
	return nil, reactor.Idle
}
