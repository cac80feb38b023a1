package chart

import (
	"strings"
	"unicode/utf8"
)

// Table is rows of text below a header.
type Table struct {
	Title  string
	Header []string
	Rows   [][]string
	// Notes are sentences below the table: what was left out, and why.
	Notes []string
}

// Text shows the table on a terminal: the first column to the left, the others,
// which are figures, to the right.
func (t Table) Text() string {
	widths := t.widths()
	var text strings.Builder
	if t.Title != "" {
		text.WriteString(t.Title + "\n")
	}
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		line := ""
		for i := range widths {
			line += "  " + pad(cell(row, i), widths[i], i > 0)
		}
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	for _, note := range t.Notes {
		text.WriteString("  " + note + "\n")
	}
	return text.String()
}

// Markdown shows the table in GitHub's flavor of Markdown.
func (t Table) Markdown() string {
	var text strings.Builder
	if t.Title != "" {
		text.WriteString("### " + t.Title + "\n\n")
	}
	ruler := make([]string, len(t.Header))
	for i := range ruler {
		ruler[i] = "---:"
	}
	if len(ruler) > 0 {
		ruler[0] = "---"
	}
	for i, row := range append([][]string{t.Header, ruler}, t.Rows...) {
		cells := make([]string, len(t.Header))
		for j := range cells {
			cells[j] = cell(row, j)
			if i != 1 {
				cells[j] = escape(cells[j])
			}
		}
		text.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	for _, note := range t.Notes {
		text.WriteString("\n" + note + "\n")
	}
	return text.String()
}

func (t Table) widths() []int {
	widths := make([]int, len(t.Header))
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i := range widths {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell(row, i)))
		}
	}
	return widths
}

// cell is empty for a row that is shorter than the header.
func cell(row []string, i int) string {
	if i >= len(row) {
		return ""
	}
	return row[i]
}

func pad(text string, width int, right bool) string {
	room := strings.Repeat(" ", width-utf8.RuneCountInString(text))
	if right {
		return room + text
	}
	return text + room
}

// escape keeps a cell from ending its row or its column.
func escape(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}
