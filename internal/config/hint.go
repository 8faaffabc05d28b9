package config

import (
	"strconv"
	"strings"
)

// quote puts text from the file into a message, cut when it is long.
func quote(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		text = string(runes[:60]) + "…"
	}
	return strconv.Quote(text)
}

// list renders names as `"a", "b" and "c"`, at most twelve of them.
func list(names []string, and string) string {
	var b strings.Builder
	for i, name := range names {
		if i == 12 {
			b.WriteString(" and " + strconv.Itoa(len(names)-i) + " more")
			break
		}
		if i > 0 && i == len(names)-1 {
			b.WriteString(" " + and + " ")
		} else if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(name))
	}
	return b.String()
}

// suggest asks whether the nearest of the known words was meant; when none is
// near it says otherwise.
func suggest(word string, known []string, otherwise string) string {
	if k, ok := Nearest(word, known); ok {
		return "did you mean " + quote(k) + "?"
	}
	return otherwise
}

// Nearest returns the known word that word was probably meant to be: the one
// that differs in the fewest letters, at most in a third of them, or that word
// is the beginning of. ok is false when none is near.
func Nearest(word string, known []string) (near string, ok bool) {
	best, found := 0, ""
	for _, k := range known {
		shorter := min(len(word), len(k))
		limit := max(shorter/3, min(shorter-1, 1))
		d := distance(fold(word), fold(k))
		if shorter >= 3 && strings.HasPrefix(fold(k), fold(word)) {
			d = 1 // cut short
		}
		if d <= limit && (found == "" || d < best) {
			best, found = d, k
		}
	}
	return found, found != ""
}

// fold makes words equal that differ only in case or in the kind of dash.
func fold(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.ReplaceAll(strings.ToLower(s), "_", "-")
}

// distance counts the letters to insert, remove, replace or swap with their
// neighbour to get from a to b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
