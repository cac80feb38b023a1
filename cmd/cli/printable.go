package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sirupsen/logrus"
)

// What a worker writes ends up on terminals and in logs. As it is, it could move
// the cursor, hide lines, or look like a line of the master. So nothing passes that
// is not printable: it is shown as Go writes it, \x1b for an escape.

// printable makes text fit for a terminal. A tab may stay; a line feed may not.
func printable(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r == '\t' || unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return b.String()
}

// printableJSON does the same to a line of JSON, whose strings stay what they
// are: the encoder escapes neither DEL nor U+0080 to U+009F, which are escape
// sequences too, nor marks that turn the direction of writing.
func printableJSON(line []byte) []byte {
	var b strings.Builder
	for _, r := range string(line) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff: // JSON writes it as a pair, see RFC 8259, 7
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return []byte(b.String())
}

// colorFormatter is logrus's text for terminals, which writes messages as they
// are. Its text without colors quotes them.
type colorFormatter struct{ logrus.TextFormatter }

func (f *colorFormatter) Format(e *logrus.Entry) ([]byte, error) {
	e.Message = printable(e.Message)
	return f.TextFormatter.Format(e)
}

type jsonFormatter struct{ logrus.JSONFormatter }

func (f *jsonFormatter) Format(e *logrus.Entry) ([]byte, error) {
	line, err := f.JSONFormatter.Format(e)
	return printableJSON(line), err
}
