package master

import (
	"github.com/sirupsen/logrus"

	"prefork/master/control"
	"prefork/master/supervise"
)

// journal tells people what happens: every note is a line of the log and, from
// info on, an entry of the event stream. It never blocks: the log's writer and the hub
// both drop and count.
type journal struct {
	log *logrus.Logger
	hub *control.Hub
}

// setLevel takes a word that config has accepted.
func (j *journal) setLevel(word string) {
	if level, err := logrus.ParseLevel(word); err == nil {
		j.log.SetLevel(level)
	}
}

// note writes one decision of the machine.
func (j *journal) note(n supervise.Note) {
	fields := logrus.Fields{"component": "master"}
	if n.ID.Incarnation != 0 {
		fields["component"] = "worker"
		fields["slot"], fields["incarnation"] = n.ID.Slot, n.ID.Incarnation
		if n.From != n.To {
			fields["state_from"], fields["state_to"] = n.From.String(), n.To.String()
		}
	}
	if n.Generation != 0 {
		fields["generation"] = n.Generation
	}
	if n.PID != 0 {
		fields["worker_pid"] = n.PID
	}
	if n.Reason != "" {
		fields["reason"] = n.Reason
	}
	if n.Words != "" {
		fields["last_words"] = n.Words
	}
	j.write(levels[n.Level], n.Text, fields)
}

var levels = map[supervise.Level]logrus.Level{
	supervise.Debug: logrus.DebugLevel,
	supervise.Info:  logrus.InfoLevel,
	supervise.Warn:  logrus.WarnLevel,
	supervise.Error: logrus.ErrorLevel,
}

// state writes a new overall state.
func (j *journal) state(s supervise.Overall) {
	j.write(logrus.DebugLevel, "state is "+string(s), logrus.Fields{"component": "master", "state_to": string(s)})
}

// report writes a line of a part that does not log by itself.
func (j *journal) report(line string) {
	j.write(logrus.WarnLevel, line, logrus.Fields{"component": "control"})
}

// output passes on one line that a worker wrote. It is no event: a worker that
// writes a lot would drown what followers want to know.
func (j *journal) output(c *child, stream, line string, dropped int) {
	to := j.log.WithFields(logrus.Fields{
		"component": "output", "stream": stream, "slot": c.id.Slot, "incarnation": c.id.Incarnation,
		"generation": c.generation, "worker_pid": c.process.PID(),
	})
	if dropped > 0 {
		to.WithField("dropped", dropped).Warn("lines of a worker were dropped because the log could not keep up")
	}
	if line != "" {
		to.Info(line)
	}
}

// complaint says what a worker did that it may not do, or that has no effect.
func (j *journal) complaint(c *child, reason string) {
	j.note(supervise.Note{
		Level: supervise.Warn, Text: "worker's notification has no effect", ID: c.id, Generation: c.generation,
		PID: c.process.PID(), Reason: reason,
	})
}

// write sends one entry to the log and, from info on, to the event stream.
func (j *journal) write(level logrus.Level, text string, fields logrus.Fields) {
	j.log.WithFields(fields).Log(level, text)
	if level <= logrus.InfoLevel {
		j.hub.Publish(control.Event{Message: text, Level: level.String(), Fields: fields})
	}
}
