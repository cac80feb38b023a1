package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"prefork/master/config"
)

// The keys of a command's body.
const (
	timeoutKey = "timeout_seconds"
	workersKey = "workers"
	nowKey     = "now"
)

// verbKeys says which keys each command takes. All may be left out, but for the
// workers of scale.
var verbKeys = map[Verb][]string{
	Reload:  {timeoutKey},
	Scale:   {workersKey},
	Upgrade: {timeoutKey},
	Stop:    {nowKey},
	Reopen:  {},
}

// parseCommand reads the body of a command. An empty body is as good as {}. Its
// errors are one line for the operator.
func parseCommand(verb Verb, body []byte) (Command, error) {
	values := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(body)) > 0 {
		if err := json.Unmarshal(body, &values); err != nil {
			return Command{}, refuseBody(verb, err)
		}
	}
	c := Command{Verb: verb}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(verbKeys[verb], key) {
			return Command{}, refuseKey(verb, key)
		}
		if err := c.set(key, values[key]); err != nil {
			return Command{}, err
		}
	}
	if verb == Scale && c.Workers == "" {
		return Command{}, errors.New(`scale to how many? write {"workers": "4"}, or "+1", or "-1"`)
	}
	return c, nil
}

// body gives what parseCommand reads back.
func (c Command) body() ([]byte, error) {
	values := map[string]any{}
	if c.Timeout != 0 {
		values[timeoutKey] = c.Timeout.Seconds()
	}
	if c.Workers != "" {
		values[workersKey] = c.Workers
	}
	if c.Now {
		values[nowKey] = true
	}
	return json.Marshal(values)
}

func (c *Command) set(key string, value json.RawMessage) error {
	switch key {
	case timeoutKey:
		var seconds float64
		err := json.Unmarshal(value, &seconds)
		if err != nil || seconds <= 0 || seconds > config.TimeoutMax.Seconds() {
			return fmt.Errorf("timeout_seconds is %.40q: write a number of seconds above 0 and up to %.0f", value, config.TimeoutMax.Seconds())
		}
		// Never 0, which would mean that none was given.
		c.Timeout = max(1, time.Duration(math.Round(seconds*float64(time.Second))))
	case workersKey:
		if err := json.Unmarshal(value, &c.Workers); err != nil || !isWorkerCount(c.Workers) {
			return fmt.Errorf(`workers is %.40q: write a count in quotes like "4", or a step like "+1" or "-1"`, value)
		}
	case nowKey:
		if err := json.Unmarshal(value, &c.Now); err != nil {
			return fmt.Errorf("now is %.40q: write true or false", value)
		}
	}
	return nil
}

// isWorkerCount reports whether s has the form of a count or a step. What it
// means, and whether it can be, is the Backend's to say.
func isWorkerCount(s string) bool {
	const digitsMax = 4
	digits := strings.TrimPrefix(s, "+")
	if digits == s {
		digits = strings.TrimPrefix(s, "-")
	}
	return digits != "" && len(digits) <= digitsMax && strings.Trim(digits, "0123456789") == ""
}

func refuseBody(verb Verb, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("the body is not JSON (%v at byte %d): %s", err, syntax.Offset, keysAdvice(verb))
	}
	return fmt.Errorf("the body is JSON, but not an object: %s", keysAdvice(verb))
}

func refuseKey(verb Verb, key string) error {
	if near := config.Suggest(key, verbKeys[verb]); near != "" {
		return fmt.Errorf("unknown key %.40q: did you mean %q?", key, near)
	}
	return fmt.Errorf("unknown key %.40q: %s", key, keysAdvice(verb))
}

func keysAdvice(verb Verb) string {
	if len(verbKeys[verb]) == 0 {
		return fmt.Sprintf("%s takes no keys, so leave the body out", verb)
	}
	return fmt.Sprintf("%s takes an object with the key %s", verb, strings.Join(verbKeys[verb], ", "))
}
