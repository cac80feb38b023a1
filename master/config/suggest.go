package config

import "strings"

// suggestLengthMax bounds the words that Suggest compares: its work grows with
// the square of the length, and nobody mistypes a word of 64 letters.
const suggestLengthMax = 64

// Suggest gives the known word that a mistyped word most likely stands for, or
// "" when none is near: the word begins with it ("warning"), or is at least half of
// it ("err"), or there is at most one slip (a letter missing, added, changed, or
// two swapped) in each three letters.
func Suggest(word string, known []string) string {
	if word == "" || len(word) > suggestLengthMax {
		return ""
	}
	word = strings.ToLower(word)
	best, bestSlips := "", 0
	for _, k := range known {
		if strings.HasPrefix(word, k) || strings.HasPrefix(k, word) && 2*len(word) >= len(k) {
			return k
		}
		slips := countSlips(word, k)
		if slips <= len(k)/3 && (best == "" || slips < bestSlips) {
			best, bestSlips = k, slips
		}
	}
	return best
}

// countSlips is the optimal string alignment distance of a and b, by bytes.
// Three rows of the usual table are enough: the current one, the one before,
// and, for a swap, the one before that.
func countSlips(a, b string) int {
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			change := previous[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			current[j] = min(change, previous[j]+1, current[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
