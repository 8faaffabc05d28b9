package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in the file. Line and Column count from 1, columns in
// characters; the zero Pos is no place.
type Pos struct {
	Line, Column int
}

// Problem is one thing wrong with the file.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // 0 when the file could not be read at all
	Column int    `json:"column"` // 0 with Line
	What   string `json:"what"`   // names the element and what is wrong with it
	Why    string `json:"why,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// String renders "file:line:column: what, why, remedy", on one line.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	b.WriteString(p.What)
	for _, part := range []string{p.Why, p.Remedy} {
		if part != "" {
			b.WriteString(", ")
			b.WriteString(part)
		}
	}
	return b.String()
}

// SortProblems puts problems in the order of the file.
func SortProblems(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Place says where an element of the file stands. The zero Place belongs to
// elements that were not read from a file.
type Place struct {
	Pos  Pos
	keys map[string]Pos // value positions: "uri", "trust[0]"
	bad  []string       // keys whose value is reported already
}

// At returns the position of a key's value, of the element itself when the
// key is not written.
func (p Place) At(key string) Pos {
	if at, ok := p.keys[key]; ok {
		return at
	}
	return p.Pos
}

// AtItem returns the position of item i of a key's list, else that of At.
func (p Place) AtItem(key string, i int) Pos {
	if at, ok := p.keys[itemKey(key, i)]; ok {
		return at
	}
	return p.At(key)
}

// Has says whether the file writes the key.
func (p Place) Has(key string) bool {
	_, ok := p.keys[key]
	return ok
}

func (p *Place) set(key string, at Pos) {
	if p.keys == nil {
		p.keys = make(map[string]Pos)
	}
	p.keys[key] = at
}

// Broken says whether the value of the key, or an item of it, is reported
// already, so that nothing should be concluded from what was left of it.
func (p Place) Broken(key string) bool {
	return slices.Contains(p.bad, key) || slices.Contains(p.bad, everyKey)
}

// missing says whether the key is not written, nor reported in another way.
func (p Place) missing(key string) bool { return !p.Has(key) && !p.Broken(key) }

// everyKey marks an element of which nothing could be read.
const everyKey = "*"

func itemKey(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

// maxProblems bounds what is said about one file.
const maxProblems = 1000

// report collects the problems of one file.
type report struct {
	file     string
	problems []Problem
}

func (r *report) add(at Pos, what, why, remedy string) {
	if r.full() {
		return
	}
	if len(r.problems) == maxProblems-1 {
		what, why, remedy = "there are too many problems", "no more are looked for", "correct those above first"
	}
	r.problems = append(r.problems, Problem{r.file, max(at.Line, 1), max(at.Column, 1), what, why, remedy})
}

func (r *report) full() bool { return len(r.problems) >= maxProblems }

// Problem returns a problem of this file at the given place, for the checks of
// other packages.
func (c *Config) Problem(at Pos, what, why, remedy string) Problem {
	r := report{file: c.File}
	r.add(at, what, why, remedy)
	return r.problems[0]
}
