package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// index holds the sections of the RFCs we know: number of the RFC, section, title.
type index map[int]map[string]string

// parseIndex reads lines "3261 17.1.1.2 Formal Description". Empty lines and lines that begin with # say
// nothing.
func parseIndex(text string) (index, error) {
	ix := index{}
	for n, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.SplitN(line, " ", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("rfc/index.txt:%d: want RFC, section and title", n+1)
		}
		rfc, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, fmt.Errorf("rfc/index.txt:%d: %w", n+1, err)
		}
		if ix[rfc] == nil {
			ix[rfc] = map[string]string{}
		}
		section := fields[1]
		if _, twice := ix[rfc][section]; twice {
			return nil, fmt.Errorf("rfc/index.txt:%d: RFC %d §%s stands there twice", n+1, rfc, section)
		}
		ix[rfc][section] = fields[2]
	}
	return ix, nil
}

// problem says what is wrong with a citation; it is empty for one that is right and for one of an unknown RFC.
func (ix index) problem(c cite) string {
	if c.rfc == 0 {
		return fmt.Sprintf("§%s names no RFC", c.section)
	}
	sections, known := ix[c.rfc]
	if _, ok := sections[c.section]; known && !ok {
		return fmt.Sprintf("RFC %d has no §%s", c.rfc, c.section)
	}
	return ""
}

var (
	numbered = regexp.MustCompile(`^(\d+(?:\.\d+)*)\.?\s+(\S.*)$`)
	appendix = regexp.MustCompile(`^(?:Appendix\s+)?([A-Z](?:\.\d+)*)(?:[.:]|\s+-)?\s+(\S.*)$`)
)

// printIndex writes the index of all RFC texts in dir: numbers and titles only.
func printIndex(w io.Writer, dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "rfc[0-9]*.txt"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	fmt.Fprintln(w, "# RFC, section, title. Made by \"rfcxref -index DIRECTORY\" from the RFCs' texts.")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rfc := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), "rfc"), ".txt")
		for _, s := range headings(text) {
			fmt.Fprintf(w, "%s %s %s\n", rfc, s.number, s.title)
		}
	}
	return nil
}

type heading struct{ number, title string }

// headings finds the headings of an RFC's text: lines at the left margin that begin with the number that may follow the
// last one. The table of contents is indented, and so is all other text that begins with a number.
func headings(text []byte) []heading {
	found := []heading{{"0", ""}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		m := numbered.FindStringSubmatch(line)
		if m == nil {
			m = appendix.FindStringSubmatch(line)
		}
		last := found[len(found)-1].number
		if m == nil || !follows(last, m[1]) {
			continue
		}
		found = append(found, heading{m[1], strings.Join(strings.Fields(m[2]), " ")})
	}
	return found[1:]
}

// follows reports whether section b may come right after section a: its first child, the next at its own level, or the
// next at a level above. The first appendix follows any numbered section.
func follows(a, b string) bool {
	if b == a+".1" {
		return true
	}
	if b == "A" {
		return a[0] >= '0' && a[0] <= '9'
	}
	parts := strings.Split(a, ".")
	for n := len(parts); n > 0; n-- {
		if b == strings.Join(append(slices.Clone(parts[:n-1]), next(parts[n-1])), ".") {
			return true
		}
	}
	return false
}

// next is the number or letter after s.
func next(s string) string {
	if n, err := strconv.Atoi(s); err == nil {
		return strconv.Itoa(n + 1)
	}
	return string(rune(s[0] + 1))
}
