package interop

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	ours "github.com/sallyport-sip/sallyport/sip"
)

// judged is a kind of disagreement, as disagreements.tsv has it.
type judged struct{ right, where, reason string }

// TestDifferential gives both parsers the messages that RFCs print and mutations of them. Each kind of disagreement has
// to be judged in disagreements.tsv, and each kind that is judged there has to occur.
func TestDifferential(t *testing.T) {
	known := readJudged(t, "disagreements.tsv")
	found := map[string][]byte{} // the first message of each kind
	count := map[string]int{}
	total, agreed := 0, 0
	try := func(b []byte) {
		total++
		kinds := disagreements(b)
		if len(kinds) == 0 {
			agreed++
		}
		for _, kind := range kinds {
			count[kind]++
			if found[kind] == nil {
				found[kind] = slices.Clone(b)
			}
		}
	}
	seeds := corpus(t)
	for _, b := range seeds {
		try(b)
	}
	m := newMutator(seeds)
	for range mutations {
		try(m.next())
	}
	t.Logf("%d messages, both agree on %d; %d kinds of disagreement", total, agreed, len(count))
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		if _, ok := known[kind]; !ok {
			t.Errorf("a kind that nobody has judged, %d times: %s\n%s", count[kind], kind, found[kind])
		}
		t.Logf("%6d  %s", count[kind], kind)
	}
	for kind := range known {
		if count[kind] == 0 {
			t.Errorf("judged, but it does not occur any more: %s", kind)
		}
	}
}

// mutations is how many messages are made of those that there are; the seed is always the same.
const mutations = 60000

// disagreements names the kinds in which the parsers differ about one message.
func disagreements(b []byte) (kinds []string) {
	mine, refused := ourFacts(b)
	other, theyRefuse := guarded(b)
	switch {
	case refused != nil && theyRefuse != nil:
		return nil
	case refused != nil:
		return []string{"only we refuse: " + ruleOf(refused)}
	case theyRefuse != nil:
		text, _, _ := strings.Cut(theyRefuse.Error(), "'") // behind it is what it was given
		return []string{"only sipgo refuses: " + plain(text)}
	}
	num := func(n int) string { return strconv.Itoa(n) }
	for _, d := range []struct{ what, mine, other string }{
		{"request or response", strconv.FormatBool(mine.Request), strconv.FormatBool(other.Request)},
		{"method", mine.Method, other.Method},
		{"status", num(mine.Status), num(other.Status)},
		{"Request-URI", mine.URI, other.URI},
		{"Call-ID", mine.CallID, other.CallID},
		{"number of CSeq", num(int(mine.Seq)), num(int(other.Seq))},
		{"method of CSeq", mine.SeqMethod, other.SeqMethod},
		{"branch of the Via", mine.Branch, other.Branch},
		{"transport of the Via", mine.ViaTransport, other.ViaTransport},
		{"host of the Via", mine.ViaHost, other.ViaHost},
		{"port of the Via", num(mine.ViaPort), num(other.ViaPort)},
		{"tag of From", mine.FromTag, other.FromTag},
		{"tag of To", mine.ToTag, other.ToTag},
		{"user of From", mine.FromUser, other.FromUser},
		{"user of To", mine.ToUser, other.ToUser},
		{"Content-Type", mine.ContentType, other.ContentType},
		{"Max-Forwards", num(mine.MaxForwards), num(other.MaxForwards)},
		{"number of header fields", num(mine.Fields), num(other.Fields)},
		{"body", mine.Body, other.Body},
	} {
		if d.mine != d.other {
			kinds = append(kinds, "both accept: "+d.what+": sipgo has "+relation(d.mine, d.other))
		}
	}
	return kinds
}

// relation says how sipgo's value is to ours.
func relation(mine, other string) string {
	number, err := strconv.Atoi(mine)
	number2, err2 := strconv.Atoi(other)
	switch {
	case err == nil && err2 == nil && number < number2:
		return "a greater number"
	case err == nil && err2 == nil:
		return "a lesser number"
	case other == "":
		return "none"
	case mine == "":
		return "one where we have none"
	case strings.EqualFold(mine, other):
		return "another letter case"
	case strings.Contains(other, mine):
		return "more"
	case strings.Contains(mine, other):
		return "less"
	}
	return "another"
}

// guarded takes a panic for a refusal of its own kind.
func guarded(b []byte) (f facts, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return theirFacts(b)
}

// ruleOf is the rule that a message breaks, without what differs from message to message.
func ruleOf(err error) string {
	if e, ok := errors.AsType[*ours.ParseError](err); ok {
		if e.Limit != "" {
			return "limit " + string(e.Limit)
		}
		return plain(e.Rule)
	}
	return plain(err.Error())
}

var varying = regexp.MustCompile(`"(\\.|[^"\\])*"|[0-9]+`)

// plain takes quoted values and numbers out of an error's text.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return varying.ReplaceAllString(s, "_")
}

// corpus is what RFC 4475, 5118 and 3665 print, and our own messages.
func corpus(t *testing.T) [][]byte {
	t.Helper()
	all := [][]byte{invite}
	for _, name := range slices.Sorted(maps.Keys(others)) {
		all = append(all, others[name])
	}
	for _, pattern := range []string{"rfc4475/*.dat", "rfc5118/wire/*.sip", "rfc3665/*.sip"} {
		names, err := filepath.Glob(filepath.Join("..", "sip", "testdata", pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
	}
	return all
}

// readJudged reads lines of four columns: kind, who is right, section, reason. # begins a comment.
func readJudged(t *testing.T, name string) map[string]judged {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	known := map[string]judged{}
	for n, s := 1, bufio.NewScanner(f); s.Scan(); n++ {
		line := s.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		col := strings.Split(line, "\t")
		if len(col) != 4 || !slices.Contains([]string{"ours", "sipgo", "both", "neither"}, col[1]) || col[2] == "" || col[3] == "" {
			t.Errorf("%s:%d: want kind, who is right (ours, sipgo, both, neither), section, reason: %q", name, n, line)
			continue
		}
		if _, twice := known[col[0]]; twice {
			t.Errorf("%s:%d: judged twice: %s", name, n, col[0])
		}
		known[col[0]] = judged{col[1], col[2], col[3]}
	}
	return known
}
