package events

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// kind is the word of the page for a field's type.
func kind(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t.Kind() == reflect.Pointer:
		return kind(t.Elem()) + " or null"
	case t.Kind() == reflect.Slice:
		return "list of " + kind(t.Elem())
	case t.Kind() == reflect.Struct:
		return t.Name()
	case t.Kind() == reflect.String:
		return "string"
	case t.Kind() == reflect.Bool:
		return "boolean"
	}
	return "number"
}

// The page has every type of event and every field of the document, with its type, and no other.
func TestEventsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/reference/events.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	var want []string
	for _, row := range Types {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", row.Type, row.Means, row.Has))
	}
	if got := regexp.MustCompile("(?m)^\\| `[a-z]+\\.[a-z_]+` \\|.*$|^\\| `reload` \\| a conf.*$").FindAllString(page, -1); !slices.Equal(got, want) {
		t.Errorf("types\ngot\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]+) \\| [^|]+ \\|$")
	for _, doc := range []any{Event{}, Call{}, Failure{}, End{}, Handshake{}, Alarm{}, Certificate{}, Reload{}, Gap{}} {
		of := reflect.TypeOf(doc)
		_, section, found := strings.Cut(page, "\n### "+of.Name()+"\n")
		if !found {
			t.Errorf("there is no section %s", of.Name())
			continue
		}
		section, _, _ = strings.Cut(section, "\n#")
		var got, want []string
		for _, m := range row.FindAllStringSubmatch(section, -1) {
			got = append(got, m[1]+": "+m[2])
		}
		for f := range of.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				want = append(want, name+": "+kind(f.Type))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %q\nwant %q", of.Name(), got, want)
		}
	}
}

func TestSelection(t *testing.T) {
	busy := &Event{Type: CallBusy, Call: Call{From: "office", To: "acme"}}
	for _, tt := range []struct {
		s    Selection
		e    *Event
		want bool
	}{
		{Selection{}, busy, true},
		{Selection{Types: []string{"call.*"}}, busy, true},
		{Selection{Types: []string{"*"}}, busy, true},
		{Selection{Types: []string{"call.busy"}}, busy, true},
		{Selection{Types: []string{"call.bus"}}, busy, false},
		{Selection{Types: []string{"ca.*", "peer.*"}}, busy, false},
		{Selection{Peers: []string{"acme"}}, busy, true},
		{Selection{Peers: []string{"office"}}, busy, true},
		{Selection{Peers: []string{"backup"}}, busy, false},
		{Selection{Types: []string{"peer.*"}, Peers: []string{"acme"}}, busy, false},
		{Selection{Peers: []string{"backup"}}, Turned("backup", true, ""), true},
		{Selection{Types: []string{"call.busy"}, Peers: []string{"backup"}}, &Event{Type: Lost}, true},
	} {
		if got := tt.s.Wants(tt.e); got != tt.want {
			t.Errorf("%+v of %+v: %v", tt.s, tt.e, got)
		}
	}
}
