package chart

// Limit is something that must hold, compared with what was seen.
type Limit struct {
	Case      string // in which it holds: "hang"
	What      string // "p99"
	Got, Most string // "2.21 ms", "20.0 ms"
	Holds     bool
	// Soft is a limit that a busy machine can break: it fails a run only when that
	// is asked for.
	Soft bool
}

// Verdicts is a table of limits.
func Verdicts(title string, limits []Limit) Table {
	t := Table{Title: title, Header: []string{"case", "what", "seen", "at most", "verdict"}}
	for _, l := range limits {
		t.Rows = append(t.Rows, []string{l.Case, l.What, l.Got, l.Most, l.verdict()})
	}
	return t
}

func (l Limit) verdict() string {
	if l.Holds {
		return "holds"
	}
	return "BROKEN"
}

// Broken names the limits that fail a run; strict counts the soft ones, too.
func Broken(limits []Limit, strict bool) []string {
	var all []string
	for _, l := range limits {
		if !l.Holds && (strict || !l.Soft) {
			all = append(all, l.Case+": "+l.What+" "+l.Got+", limit "+l.Most)
		}
	}
	return all
}
