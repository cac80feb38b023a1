package config

import (
	"errors"
	"maps"
	"slices"
	"strconv"
)

// The keys with several values.

// setListen keeps the place of an address that does not parse, so that those
// behind it keep their number. The place-holder has port 0 and overlaps nothing.
func setListen(c *Config, words []string) error {
	c.Listen = make([]Address, len(words))
	var found []error
	for i, word := range words {
		a, err := ParseAddress(word)
		if err != nil {
			found = append(found, &Problem{Item: strconv.Itoa(i + 1), Value: word, Text: textOf(err)})
			continue
		}
		c.Listen[i] = a
	}
	return errors.Join(found...)
}

func wordsOfListen(c *Config) []string {
	words := make([]string, len(c.Listen))
	for i, a := range c.Listen {
		words[i] = a.String()
	}
	return words
}

func setCommand(c *Config, words []string) error {
	c.Command = slices.Clone(words)
	return nil
}

func wordsOfCommand(c *Config) []string { return c.Command }

func setEnvironment(c *Config, words []string) error {
	c.Environment = make(map[string]string, len(words)/2)
	for pair := range slices.Chunk(words, 2) {
		c.Environment[pair[0]] = pair[1]
	}
	return nil
}

func wordsOfEnvironment(c *Config) []string {
	words := make([]string, 0, 2*len(c.Environment))
	for _, name := range slices.Sorted(maps.Keys(c.Environment)) {
		words = append(words, name, c.Environment[name])
	}
	return words
}
