package config

import "strconv"

// parseNumber reads decimal digits and nothing else, up to limit: strconv alone
// would also take signs, and a sign in a port or a count is a mistake.
func parseNumber(s string, limit int) (int, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= limit
}
