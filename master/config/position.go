package config

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// document is the text of a file with its lines.
type document struct {
	path  string
	data  []byte
	lines []int // where each begins
	// The place that was asked for last: counting goes on from there, since a line
	// may hold all of the file and the place of each value in it is asked for.
	lastOffset, lastColumn int
}

func newDocument(path string, data []byte) document {
	d := document{path: path, data: data, lines: []int{0}, lastColumn: 1}
	for i, b := range data {
		if b == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	return d
}

// at gives the place of a byte. Columns count characters, as editors do.
func (d *document) at(offset int) Origin {
	offset = min(max(offset, 0), len(d.data))
	line := d.lineOf(offset)
	if d.lastOffset > offset || d.lastOffset < d.lines[line] {
		d.lastOffset, d.lastColumn = d.lines[line], 1
	}
	d.lastColumn += utf8.RuneCount(d.data[d.lastOffset:offset])
	d.lastOffset = offset
	return Origin{source: fromFile, name: d.path, line: line + 1, column: d.lastColumn}
}

// lineOf gives the index of the line that holds a byte.
func (d *document) lineOf(offset int) int {
	line, exact := slices.BinarySearch(d.lines, offset)
	if !exact {
		line--
	}
	return line
}

// line gives a line's text without its end.
func (d *document) line(index int) []byte {
	if index+1 == len(d.lines) {
		return d.data[d.lines[index]:]
	}
	text := d.data[d.lines[index] : d.lines[index+1]-1]
	return bytes.TrimSuffix(text, []byte("\r"))
}

// lineAfter gives where the line behind a byte's begins, or the end.
func (d *document) lineAfter(offset int) int {
	if next := d.lineOf(offset) + 1; next < len(d.lines) {
		return d.lines[next]
	}
	return len(d.data)
}

// beginsSetting tells whether a line looks like KEY = … or [TABLE]: there reading
// can go on behind a mistake.
func beginsSetting(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	if rest, ok := bytes.CutPrefix(line, []byte("[")); ok {
		name, _, closed := bytes.Cut(rest, []byte("]"))
		return closed && len(name) > 0 && len(bareKey(name)) == len(name)
	}
	key := bareKey(line)
	return len(key) > 0 && bytes.HasPrefix(bytes.TrimLeft(line[len(key):], " \t"), []byte("="))
}

// bareKey gives the key that stands without quotes at the beginning of b.
func bareKey(b []byte) []byte {
	end := bytes.IndexFunc(b, func(char rune) bool { return !isBareKeyChar(char) })
	if end < 0 {
		return b
	}
	return b[:end]
}

func isBareKeyChar(char rune) bool {
	return 'a' <= char && char <= 'z' || 'A' <= char && char <= 'Z' || '0' <= char && char <= '9' || char == '-' || char == '_'
}
