package config

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// statement is a key with its value, or a table's header, that does not parse.
type statement struct {
	begin, at int    // where it begins, and where the parser gave up
	complaint string // the parser's
	key       string // "" for a header, and for what has no key
	value     string // the rest of the first line, without a comment
	char      rune   // at the place where the parser gave up; 0 at the end
}

// syntaxError tells what is wrong in the statement that begins at a byte, and
// gives the place from where reading can go on. The parser began at another.
func (r *fileReader) syntaxError(begin, parsedFrom int, err error) (next int) {
	s := r.statementAt(begin, parsedFrom, err)
	if bytes.HasPrefix(r.data[begin:], []byte("[")) || strings.HasPrefix(s.value, "{") {
		r.table = foreign // what comes until the next table may belong to this one
	}
	overran := r.lineOf(s.at) > r.lineOf(begin) && beginsSetting(r.line(r.lineOf(s.at)))
	switch {
	case strings.Contains(s.complaint, "not terminated by"):
		r.complain(begin, "the text that begins here with three quotes has no end: close it with three quotes")
		return len(r.data) // everything is part of that text
	case strings.Contains(s.complaint, "incomplete"), overran && strings.HasPrefix(s.value, "["):
		r.complain(begin, "the list or table that begins here has no end: close it with ] or }")
		if !overran {
			return len(r.data)
		}
		return r.lines[r.lineOf(s.at)]
	}
	r.complain(s.at, "%s", s.explain())
	for next = r.lineAfter(s.at); next < len(r.data) && !beginsSetting(r.line(r.lineOf(next))); {
		next = r.lineAfter(next)
	}
	return next
}

func (r *fileReader) statementAt(begin, parsedFrom int, err error) statement {
	s := statement{begin: begin, at: begin, complaint: err.Error()}
	var e *unstable.ParserError
	if errors.As(err, &e) {
		// What the parser points at is a part of what it was given.
		s.at = min(parsedFrom+max(0, cap(r.data[parsedFrom:])-cap(e.Highlight)), len(r.data))
	}
	line := bytes.TrimLeft(r.line(r.lineOf(begin)), " \t")
	s.key = string(bareKey(line))
	if rest, ok := bytes.CutPrefix(bytes.TrimLeft(line[len(s.key):], " \t"), []byte("=")); ok {
		value, _, _ := strings.Cut(string(rest), "#")
		s.value = strings.TrimSpace(value)
	}
	if s.at < len(r.data) {
		s.char, _ = utf8.DecodeRune(r.data[s.at:])
	}
	return s
}

// explain rewords the parser's complaint, which names what the grammar expects,
// into what somebody should write. It never shows a value without a known key.
func (s statement) explain() string {
	said := func(part string) bool { return strings.Contains(s.complaint, part) }
	switch {
	case strings.ContainsRune("“”„‟‘’«»", s.char) && s.char != 0:
		return fmt.Sprintf("%q is a typographic quote: write straight ones, \"like this\"", s.char)
	case s.char == '\r':
		return "a carriage return without a newline: end lines with a newline"
	case said("after key"):
		return s.explainKey()
	case said("start of key"):
		return fmt.Sprintf("here a key must stand, and not %q: write KEY = VALUE, [environment], or # before a comment", s.char)
	case strings.HasPrefix(s.value, "[") && (s.char == '.' || isBareKeyChar(s.char)):
		return "the texts of a list stand in quotes: put quotes around each"
	case said("expected newline") && !s.isBare():
		return "nothing but a comment may follow in this line: write each key in a line of its own"
	}
	for _, known := range complaints {
		if said(known.part) {
			return known.text
		}
	}
	return s.explainValue()
}

// complaints are those of the parser that say enough.
var complaints = []struct{ part, text string }{
	{"cannot have new lines", "the text has no end in this line: write a closing quote"},
	{"unterminated", "the text has no end in this line: write a closing quote"},
	{"control characters", "a control character cannot stand here: remove it"},
	{"escape", `in "..." a backslash begins an escape: write \\ for a backslash, or put the text in '...'`},
	{"hexadecimal", `in "..." a backslash begins an escape: write \\ for a backslash, or put the text in '...'`},
	{"need a character after", `in "..." a backslash begins an escape: write \\ for a backslash, or put the text in '...'`},
	{"after array value", "no comma between two values of a list, or no ] at its end: write it"},
	{"after inline table", "no comma between two variables, or no } at their end: write it"},
	{"expected value but got", "a comma without a value before it: remove it"},
	{"unexpected comma", "a comma without a variable before it: remove it"},
	{"to close", "the name of a table ends with ]: write [environment]"},
	{"leading zeroes", "a number has no leading zeros: remove them, or put quotes around text"},
	{"underscores", "an underscore stands between two digits: remove it, or put quotes around text"},
	{"too many quotes", "too many quotes: close the text with three of them"},
	{"nested", "lists in lists without end: write one list of texts"},
	{"reached end", "the file ends in the middle of a key: write KEY = VALUE"},
}

// explainKey is about what stands where a key should end.
func (s statement) explainKey() string {
	write := "KEY = VALUE"
	if _, known := findKey(s.key); known {
		write = exampleLine(s.key)
	}
	switch {
	case s.char == ':':
		return "a key and its value are joined by = and not by a colon: write " + write
	case s.ended() || s.char == '"' || s.char == '\'' || isBareKeyChar(s.char):
		return "no = after the key: write " + write
	}
	return fmt.Sprintf("%q cannot stand in a key: write %s", s.char, write)
}

// ended tells whether the line ends where the parser gave up.
func (s statement) ended() bool { return s.char == 0 || s.char == '\n' || s.char == '#' }

// isBare tells whether the value is text that somebody forgot to put in quotes:
// 20s, debug, 127.0.0.1:80.
func (s statement) isBare() bool {
	return s.value != "" && !strings.ContainsAny(s.value[:1], `"'[{`) && !strings.ContainsAny(s.value, `,;"'`)
}

func (s statement) explainValue() string {
	k, known := findKey(s.key)
	switch {
	case s.value == "" && s.ended() && known:
		return "no value: write " + exampleLine(k.Name)
	case s.value == "" && s.ended():
		return "no value: write KEY = VALUE"
	case !s.isBare():
		return "neither text in quotes nor a number, true or false: write text in quotes, with commas between the values of a list"
	case !known || k.Kind == Table:
		return "text stands in quotes: put quotes around this value"
	case k.Kind == Switch:
		return fmt.Sprintf("neither true nor false: write %s = %s", k.Name, switchFor(s.value))
	case k.Kind == List:
		return "a list of texts stands in brackets, each in quotes: write " + k.Name + " = " + k.listFor(s.value)
	}
	if c := Default(); k.set(&c, []string{s.value}) != nil { // in quotes it would be wrong too
		return "text stands in quotes: write for example " + exampleLine(k.Name)
	}
	return fmt.Sprintf("text stands in quotes: write %s = %s", k.Name, strconv.Quote(fmt.Sprintf("%.100s", s.value)))
}
