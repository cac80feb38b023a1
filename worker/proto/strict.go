package proto

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"
)

// This file refuses what fasthttp reads and others read differently, or not at
// all. Where two programs on the way of a request disagree, one request becomes
// two. The measure is net/http: what it refuses is refused here, see
// FuzzAgainstNetHTTP; what it reads otherwise than fasthttp is refused as well.

// fields are those whose presence alone means something here.
type fields struct {
	contentLength    bool
	transferEncoding bool
	expect           bool
}

// readFields looks at every line of a header block or a trailer, the blank line
// included. It returns false for a line that ends in a bare line feed, one that goes
// on with the field before it (RFC 9112, section 5.2: obs-fold), and a name with
// a space in it.
func readFields(lines []byte) (found fields, ok bool) {
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n')
		if end < 1 || lines[end-1] != '\r' {
			return found, false
		}
		line := lines[:end-1]
		lines = lines[end+1:]
		if len(line) == 0 {
			continue
		}
		name, plain := fieldName(line)
		if !plain {
			return found, false
		}
		switch len(name) {
		case len(fasthttp.HeaderContentLength):
			found.contentLength = found.contentLength || bytes.EqualFold(name, []byte(fasthttp.HeaderContentLength))
		case len(fasthttp.HeaderExpect):
			found.expect = found.expect || bytes.EqualFold(name, []byte(fasthttp.HeaderExpect))
		case len(fasthttp.HeaderTransferEncoding):
			found.transferEncoding = found.transferEncoding || bytes.EqualFold(name, []byte(fasthttp.HeaderTransferEncoding))
		}
	}
	return found, true
}

// fieldName returns what stands before the colon. It is not plain with a space in
// it, or with white space first: then the field before it goes on.
func fieldName(line []byte) (name []byte, plain bool) {
	for i, b := range line {
		switch b {
		case ':':
			return line[:i], true
		case ' ', '\t':
			return nil, false
		}
	}
	return line, false
}

// checkHeader judges a header that fasthttp has read from block: does it mean the
// same to everybody, and can we do what it expects?
func checkHeader(header *fasthttp.RequestHeader, block []byte) verdict {
	requestLine := bytes.IndexByte(block, '\n') + 1
	if requestLine < 2 || block[requestLine-2] != '\r' {
		return badRequest
	}
	found, ok := readFields(block[requestLine:])
	switch {
	case !ok:
		return badRequest
	case !header.IsHTTP11() && string(header.Protocol()) != "HTTP/1.0":
		return badRequest // fasthttp takes HTTP/2.0 for HTTP/1.0
	case found.transferEncoding && found.contentLength:
		// How requests are smuggled past a proxy (RFC 9112, section 6.3). fasthttp
		// would believe the chunks and close after the answer.
		return badRequest
	case found.transferEncoding && header.ContentLength() != chunked:
		return badRequest // identity, which is no coding any more
	case !isPlainHost(header.Host()) || !isPlainTarget(header):
		return badRequest
	case found.expect && !canMeet(header.Peek(fasthttp.HeaderExpect)):
		return expectationFailed
	}
	return complete
}

func canMeet(expectation []byte) bool {
	return len(expectation) == 0 || bytes.EqualFold(expectation, []byte("100-continue"))
}

// hostBytes are what may stand in a Host field beside letters and digits
// (RFC 3986, section 3.2.2).
const hostBytes = "!$%&'()*+,-.:;=[]_~"

func isPlainHost(host []byte) bool {
	for _, b := range host {
		letter := b|0x20 >= 'a' && b|0x20 <= 'z'
		digit := b >= '0' && b <= '9'
		if !letter && !digit && strings.IndexByte(hostBytes, b) < 0 {
			return false
		}
	}
	return true
}

// isPlainTarget: a path is judged here, since nearly every target is one. net/url
// judges the rest, and makes garbage of it.
func isPlainTarget(header *fasthttp.RequestHeader) bool {
	target := header.RequestURI()
	switch {
	case string(target) == "/", string(target) == "*":
		return true
	case bytes.IndexByte(target, '#') >= 0:
		return false // a fragment, which fasthttp cuts off
	case target[0] == '/':
		path, _, _ := bytes.Cut(target, []byte("?"))
		return hasPlainEscapes(path) && !hidesHost(target, header.Host())
	case header.IsConnect():
		// fasthttp believes the Host, net/http the target.
		return bytes.Equal(target, header.Host())
	}
	absolute, err := url.ParseRequestURI(string(target))
	return err == nil && absolute.Host != "" && absolute.User == nil
}

// hidesHost says whether fasthttp would find a host in a path: behind two slashes,
// if there is no other or if a scheme follows.
func hidesHost(path, host []byte) bool {
	return bytes.HasPrefix(path, []byte("//")) && (len(host) == 0 || bytes.Contains(path, []byte("://")))
}

func hasPlainEscapes(path []byte) bool {
	for {
		i := bytes.IndexByte(path, '%')
		if i < 0 {
			return true
		}
		if len(path) < i+3 || !isHex(path[i+1]) || !isHex(path[i+2]) {
			return false
		}
		path = path[i+3:]
	}
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'f'
}
