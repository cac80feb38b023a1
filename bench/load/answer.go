package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// answerMax bounds an answer, head and body.
const answerMax = 1 << 20

// answer is what a complete answer told.
type answer struct {
	worker identity
	last   bool // the server closes after it: it said so, or its body ends so
}

// parser reads answers with the standard library's parser on purpose: were it
// the one that our workers use, both could share a mistake and nobody would see
// it. It keeps its readers for the next answer.
type parser struct {
	input    bytes.Reader
	buffered *bufio.Reader
	// The last whole answer, its bytes and what they mean. Most answers of a load
	// are the same bytes again, and parsing them again would cost more than asking.
	seen      []byte
	seenEnded bool
	meaning   *answer
}

func newParser() *parser { return &parser{buffered: bufio.NewReader(nil)} }

// headEnd stands between the head and the body of an answer.
var headEnd = []byte("\r\n\r\n")

// parse looks for one complete answer in input, which is all that the server
// sent since the request; ended says that it has closed. An incomplete answer is
// (nil, nil) until the end, then an error. What follows the answer is an error.
//
// It starts anew at each call: an answer of a load comes in one piece nearly
// always. One that does not costs the parsing of its head again, and its body
// too if it is chunked; answerMax bounds that.
func (p *parser) parse(input []byte, ended bool) (*answer, error) {
	if p.meaning != nil && ended == p.seenEnded && bytes.Equal(input, p.seen) {
		return p.meaning, nil
	}
	got, err := p.parseAnew(input, ended)
	if got != nil {
		p.seen, p.seenEnded, p.meaning = append(p.seen[:0], input...), ended, got
	}
	return got, err
}

func (p *parser) parseAnew(input []byte, ended bool) (*answer, error) {
	head := bytes.Index(input, headEnd)
	if head < 0 {
		// Do not ask the parser yet: it takes the end of the input for the end of
		// a line, and half a status line for a bad one.
		return incomplete(input, ended)
	}
	p.input.Reset(input)
	p.buffered.Reset(&p.input)
	response, err := http.ReadResponse(p.buffered, nil)
	if err != nil {
		return nil, err
	}
	untilClose := response.ContentLength < 0 && len(response.TransferEncoding) == 0
	here := int64(len(input) - head - len(headEnd))
	if !ended && (untilClose || response.ContentLength > here) {
		return nil, nil
	}
	body, err := io.ReadAll(response.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return incomplete(input, ended)
	}
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s, want 200", response.Status)
	}
	if after := p.input.Len() + p.buffered.Buffered(); after > 0 {
		return nil, fmt.Errorf("%d bytes after the end of the answer", after)
	}
	return &answer{worker: identify(response.Header, body), last: response.Close}, nil
}

// incomplete is no error as long as more can come.
func incomplete(input []byte, ended bool) (*answer, error) {
	if !ended {
		return nil, nil
	}
	return nil, fmt.Errorf("server closed after %d bytes of an answer: %w", len(input), io.ErrUnexpectedEOF)
}
