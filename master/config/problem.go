package config

import "fmt"

// Problem is one thing wrong with a configuration. Validate gives a list of them
// (by errors.Join); the Parse functions give one without a Key, so that their
// caller can say where the value came from: fmt.Errorf("--listen %w", err).
type Problem struct {
	Key   string // the flag and key, for example "max-body"; empty from Parse*
	Item  string // which of several values: "1" is the first of a list; a variable's name; empty: the value itself
	Value string // what was asked for
	Text  string // why it cannot be, and what to do
}

// Error gives one line: key "value": why: what to do. A value that fills a
// screen is cut, or it would hide the reason.
func (p *Problem) Error() string {
	line := fmt.Sprintf("%.100q: %s", p.Value, p.Text)
	if p.Key == "" {
		return line
	}
	return p.Key + " " + line
}

func refuse(value, format string, args ...any) error {
	return &Problem{Value: value, Text: fmt.Sprintf(format, args...)}
}
