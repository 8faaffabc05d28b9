package tui

import (
	"slices"
	"strconv"
	"strings"
)

// A command is what can be typed behind ":".
type command struct {
	name  string // empty: an address, which is no command
	usage string
	words string
	run   func(m *model, rest string)
}

// commands are all of them, in the order in which help lists them.
func commands() []command {
	as := func(a action) func(*model, string) { return func(m *model, _ string) { m.common(a) } }
	return []command{
		{"", "call/41/row/17", "go to a row, or without one to a call; 41 and conn-9 do too", nil},
		{"filter", "filter TEXT", "list only the calls that fit; without a text all of them", (*model).setFilter},
		{"export", "export FORMAT FILE", "write the call to a file", (*model).exportCommand},
		{"connections", "connections", "connections, handshakes and certificates", as(actConnections)},
		{"findings", "findings", "all that is wrong", as(actFindings)},
		{"statistics", "statistics", "what there is, counted", as(actStatistics)},
		{"help", "help", "all keys", as(actHelp)},
	}
}

// command runs what was typed behind ":".
func (m *model) command(text string) {
	name, rest, _ := strings.Cut(text, " ")
	for _, c := range commands() {
		if c.run != nil && c.name == name {
			c.run(m, strings.TrimSpace(rest))
			return
		}
	}
	if id, row, ok := parseAddress(text); ok {
		m.openFlow(id, row)
		return
	}
	if text != "" {
		m.say("%q is neither an address such as call/41/row/17 nor one of %s.", text, strings.Join(commandNames(), ", "))
	}
}

func commandNames() (names []string) {
	for _, c := range commands() {
		if c.run != nil {
			names = append(names, c.name)
		}
	}
	return names
}

// parseAddress reads call/41/row/17, call/41, 41, conn-9 and the like. Row 0 is none.
func parseAddress(text string) (id string, row int, ok bool) {
	parts := strings.Split(strings.TrimPrefix(text, "#"), "/")
	if parts[0] == "call" || parts[0] == "calls" || parts[0] == "flow" {
		parts = parts[1:]
	}
	if len(parts) == 0 || parts[0] == "" || strings.ContainsAny(parts[0], " \t") {
		return "", 0, false
	}
	switch {
	case len(parts) == 1:
	case len(parts) == 3 && parts[1] == "row":
		n, err := strconv.Atoi(parts[2])
		if err != nil || n < 1 {
			return "", 0, false
		}
		row = n
	default:
		return "", 0, false
	}
	letters := strings.IndexFunc(parts[0], func(r rune) bool { return (r < '0' || r > '9') && r != '-' && (r < 'a' || r > 'z') }) < 0
	if !letters || !strings.ContainsAny(parts[0], "0123456789") || slices.Contains(commandNames(), parts[0]) {
		return "", 0, false
	}
	return parts[0], row, true
}

// IsAddress reports whether a text is the address of a call or a row.
func IsAddress(text string) bool {
	_, _, ok := parseAddress(text)
	return ok
}
