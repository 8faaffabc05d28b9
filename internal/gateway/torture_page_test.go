package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
)

// verdicts is what was found of one message.
type verdicts struct {
	parser string
	wire   []string // over each of tortureTransports
}

// parserVerdict reads a message as a datagram.
func parserVerdict(raw []byte) string {
	m, err := sip.Parse(raw)
	defer m.Release()
	if err == nil {
		err = m.Check()
	}
	if pe, ok := errors.AsType[*sip.ParseError](err); ok {
		return fmt.Sprintf("refuses it with %d for %s", pe.Status(), pe.Header)
	}
	return "takes it"
}

// expectation is a line of expected.tsv, which was written from the RFC's prose.
type expectation struct{ section, valid, verdict, behaviour string }

func expectedOf(t *testing.T, c torture) expectation {
	t.Helper()
	rfc, name, _ := strings.Cut(c.file, "/")
	name = strings.TrimSuffix(strings.TrimPrefix(name, "wire/"), ".sip")
	for line := range strings.Lines(string(readTorture(t, rfc+"/expected.tsv"))) {
		if f := strings.Split(strings.TrimRight(line, "\n"), "\t"); f[0] == name {
			return expectation{f[1], f[2], f[3], f[4]}
		}
	}
	t.Fatalf("%s is not in expected.tsv", name)
	return expectation{}
}

var statusCode = regexp.MustCompile(`\b[2-6][0-9][0-9]\b`)

// allows says whether a reaction is what the line says of our role.
func (e expectation) allows(c torture, got reaction) bool {
	said := statusCode.FindAllString(e.verdict+" "+e.behaviour, -1)
	has := func(code int) bool { return slices.Contains(said, fmt.Sprint(code)) }
	first := 0
	if len(got.finals) > 0 {
		first = got.finals[0].StatusCode()
	}
	switch {
	case c.due: // the refusal of a gateway without users
		return slices.ContainsFunc(got.finals, func(m *sip.Message) bool { return m.StatusCode() == 405 })
	case e.verdict == "discard", strings.Contains(e.behaviour, "response processed"):
		return first == 0 && got.crossed == nil && !got.closed
	case got.crossed != nil: // as a proxy forwards it, or as what is fine
		return (first == 200 || has(first)) && (strings.HasPrefix(e.verdict, "accept") || e.verdict == "either" || strings.Contains(e.behaviour, "proxy: forward"))
	case first == 0:
		return got.closed && (strings.Contains(e.behaviour, "close") || c.file == "rfc4475/baddn.dat")
	case has(first):
		return true
	case e.behaviour == "must parse" || strings.HasPrefix(e.behaviour, "must parse;") || strings.HasPrefix(e.behaviour, "route the response"):
		return first == 200 || first == 481 // that of a server without such a dialog
	}
	return false
}

// reads says whether the parser's verdict is that of the line.
func (e expectation) reads(parser string) bool {
	return e.verdict == "either" || strings.HasPrefix(e.valid, "yes") == (parser == "takes it")
}

const pageHead = `# Torture messages

<!-- Written by TestTorture in internal/gateway. To write it again: go test ./internal/gateway -run TestTorture -update -->

RFC 4475 and RFC 5118 hold messages that break what is not written with care. Each is read by the parser, and sent by a
configured peer to a running gateway over UDP, TCP and TLS; a second peer takes what the gateway lets cross, and answers with
200 (to ` + "`invut`" + ` with 415). The gateway is a server towards the peer that sends, and without users.

**%d of %d agree in the parser, %d on the wire.** What differs names the section that allows it. Rows marked *due* need a registrar:
they are refused with 405, as a gateway without users does, until there is one.

- *takes it*: the message is well formed. What is refused all the same is refused by a higher layer.
- *crosses, 200*: the request arrived at the second peer, and its answer came back.
- *closed*: the gateway ended the connection, at once when no next message can be found in the stream (RFC 3261 §18.3), after
  10 seconds when the rest of a message does not come.
- *silence*: nothing was answered, and nothing left for anywhere.

| message | section | what it has | parser | UDP | TCP | TLS | |
|---|---|---|---|---|---|---|---|
`

// torturePage compares docs/reference/torture.md with what was found, or writes
// it. A run of some of the messages leaves it alone.
func torturePage(t *testing.T, found []verdicts) {
	t.Helper()
	var rows strings.Builder
	inParser, onWire, differ := 0, 0, 0
	for i, c := range tortures {
		if len(found[i].wire) != len(tortureTransports) {
			return
		}
		e := expectedOf(t, c)
		if e.reads(found[i].parser) {
			inParser++
		}
		note := "agrees"
		switch {
		case c.differs != "":
			differ++
			note = "differs: " + c.differs
		default:
			onWire++
		}
		if c.due {
			note += ", due"
		}
		rfc := strings.ToUpper(c.file[:3]) + " " + c.file[3:7]
		name := strings.TrimSuffix(filepath.Base(c.file), filepath.Ext(c.file))
		fmt.Fprintf(&rows, "| `%s` | %s §%s | %s | %s | %s | %s |\n", name, rfc, e.section, c.about, found[i].parser, strings.Join(found[i].wire, " | "), note)
	}
	if len(found) != 61 || inParser != 61 || differ > 3 {
		t.Errorf("%d messages, %d agree in the parser, %d differ on the wire; want 61, 61 and at most 3", len(found), inParser, differ)
	}
	page := fmt.Sprintf(pageHead, inParser, len(found), onWire) + rows.String()
	const path = "../../docs/reference/torture.md"
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != page {
		t.Errorf("%s is not what was found, %v: write it again with -update", path, err)
	}
}
