package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// holdStage keeps the stage of TestPurpose up, for who wants to look at the page and at watch with the failures in them:
//
//	go test ./e2e -v -timeout 0 -run TestPurpose -hold 30m
//
// An interrupt ends it.
var holdStage = flag.Duration("hold", 0, "how long TestPurpose stays up after its checks, for a person to look at the page and at watch")

// TestPurpose makes calls and connections fail in different ways on a running gateway, over sockets, and wants of each
// that who sees only its flow is told cause, place and remedy: by the API, by "flow show", and by a file that watch opens.
func TestPurpose(t *testing.T) {
	t.Parallel()
	s := newFailing(t)
	for i := range failures {
		failures[i].happen(s, &failures[i])
	}
	for i := range failures {
		f := &failures[i]
		t.Run(f.name, func(t *testing.T) {
			id := s.checkFlow(t, f)
			s.checkShown(t, f, id, "--data", "data")
			s.flows = append(s.flows, id)
		})
	}
	s.checkFile(t)
	if *holdStage > 0 {
		s.stay(t)
	}
}

// A failure is one row of the stage: how it is made, and what has to be said of it.
type failure struct {
	name    string
	called  string // the number that is called; empty: it is a connection
	reason  string // code of the refusal of the connection
	happen  func(*failing, *failure)
	state   callflow.State // empty: it may have gone on by the time that it is looked at
	cause   []string       // words of the first sentence: what, and where
	finding string         // code of the finding that has to stand before all others
	says    []string       // words of it
	remedy  []string       // words of its remedy
}

var failures = []failure{
	{name: "certificate has expired", called: "+4901", happen: calls, state: callflow.StateFailed,
		cause:   []string{"hop B to expired", "refused by the gateway", "expired"},
		finding: "hop-failed", says: []string{"expired"}, remedy: []string{"renew"}},
	{name: "certificate of an unknown authority", reason: "unknown_ca", happen: rogueCalls, state: callflow.StateRefused,
		cause:   []string{"refused by the gateway on hop A", "Rogue Root", "not trusted"},
		finding: "hop-failed", says: []string{"Rogue Root"}, remedy: []string{"trust"}},
	{name: "certificate for another name", called: "+4903", happen: calls, state: callflow.StateFailed,
		cause:   []string{"hop B to misnamed", "refused by the gateway", "other.example", "misnamed.example"},
		finding: "hop-failed", says: []string{"misnamed on hop B", "CN=other.example"}, remedy: []string{"certificate_names"}},
	{name: "our certificate is refused", called: "+4904", happen: calls, state: callflow.StateFailed,
		cause:   []string{"hop B to picky", "refused by picky"},
		finding: "hop-failed", says: []string{"unknown_ca"}, remedy: []string{"CA"}},
	{name: "SIP in clear on the port of TLS", reason: "plain_text_on_tls", happen: clearCalls, state: callflow.StateRefused,
		cause:   []string{"on hop A", "plain text came where TLS is spoken", "SIP"},
		finding: "hop-failed", says: []string{"plain text"}, remedy: []string{"TLS"}},
	{name: "no route", called: "+1206", happen: calls, state: callflow.StateFailed,
		cause:   []string{"404", "hop A", "no route"},
		finding: "no-route", says: []string{"+1206", "office"}, remedy: []string{"routes"}},
	{name: "the call goes in a circle", called: "+4907", happen: calls, state: callflow.StateFailed,
		cause:   []string{"circle answered 482", "hop B"},
		finding: "loop", says: []string{"circle"}, remedy: []string{"sends it back"}},
	{name: "the peer is down", called: "+4908", happen: calls, state: callflow.StateFailed,
		cause:   []string{"hop B to down", "nothing listens"},
		finding: "hop-failed", says: []string{"down"}, remedy: []string{"port"}},
	{name: "the peer's name does not exist", called: "+4909", happen: calls, state: callflow.StateFailed,
		cause:   []string{"hop B to nowhere", "carrier.invalid", "no addresses"},
		finding: "name-unresolved", says: []string{"carrier.invalid"}, remedy: []string{"DNS"}},
	{name: "the peer is silent", called: "+4910", happen: calls, state: callflow.StateFailed,
		cause:   []string{"408", "hop B to silent", "not answered within"},
		finding: "silent-peer", says: []string{"silent"}, remedy: []string{"firewall"}},
	{name: "our Contact leads nowhere", called: "+4911", happen: callsWithoutACK,
		cause:   []string{"answered by pbx"},
		finding: "ack-contact", says: []string{"remote", "192.0.2.10"}, remedy: []string{"advertise"}},
	{name: "the peer's Contact leads nowhere", called: "+4912", happen: calls, state: callflow.StateEnded,
		cause:   []string{"hidden"},
		finding: "ack-in-vain", says: []string{"hidden", "127.0.9.9"}, remedy: []string{"Contact"}},
	{name: "a router rewrites SIP", called: "+4913", happen: calls, state: callflow.StateEnded,
		cause:   []string{"alg"},
		finding: "alg-via", says: []string{"203.0.113.7"}, remedy: []string{"ALG"}},
	{name: "no codec in common", called: "+4914", happen: calls, state: callflow.StateFailed,
		cause:   []string{"narrow answered 488", "hop B"},
		finding: "codec-refused", says: []string{"PCMA"}, remedy: []string{"codec"}},
	{name: "SRTP to who has none", called: "+4915", happen: callsSRTP, state: callflow.StateFailed,
		cause:   []string{"plain answered 488", "hop B"},
		finding: "srtp-refused", says: []string{"RTP/SAVP"}, remedy: []string{"SRTP"}},
	{name: "sips to a peer without TLS", called: "+4916", happen: callsSecurely, state: callflow.StateFailed,
		cause:   []string{"480", "hop A", "sips: can reach none of its targets"},
		finding: "sips-without-way", says: []string{"branch", "TLS on every hop"}, remedy: []string{"TLS"}},
	{name: "the peer wants credentials", called: "+4917", happen: calls, state: callflow.StateFailed,
		cause:   []string{"guarded answered 407", "hop B"},
		finding: "auth-wanted", says: []string{"guarded", "407"}, remedy: []string{"certificate or address"}},
	{name: "the session timer is too short", called: "+4918", happen: calls, state: callflow.StateFailed,
		cause:   []string{"timer answered 422", "hop B"},
		finding: "session-interval", says: []string{"timer"}, remedy: []string{"Session-Expires"}},
}

// checkFlow wants the flow of a failure in the list and by itself, and returns its id.
func (s *failing) checkFlow(t *testing.T, f *failure) (id string) {
	t.Helper()
	var line callflow.Summary
	soon(t, "the flow is there and says "+f.finding, func() bool {
		for _, one := range s.list(t) {
			if s.isOf(one, f) {
				line = one
			}
		}
		return line.ID != "" && slices.Contains(line.Findings, f.finding)
	})
	if f.state != "" && line.State != f.state || !saysAll(line.Sentence, f.cause) {
		t.Errorf("the list says %s: %q, want %s with %q", line.State, line.Sentence, f.state, f.cause)
	}
	flows, err := export.Decode(strings.NewReader(apiText(t, s.admin, "/api/v1/flows/"+line.ID)))
	if err != nil || len(flows) != 1 || flows[0].Sentence != line.Sentence {
		t.Fatalf("the flow is %v, %v", flows, err)
	}
	i := slices.IndexFunc(flows[0].Findings, func(o callflow.Finding) bool { return o.Code == f.finding })
	found := flows[0].Findings[i]
	if !saysAll(found.Sentence, f.says) || !saysAll(found.Remedy, f.remedy) {
		t.Errorf("the finding says %q; %q, want %q; %q", found.Sentence, found.Remedy, f.says, f.remedy)
	}
	if i > 0 {
		t.Errorf("%s stands behind %q", f.finding, flows[0].Findings[0].Sentence)
	}
	return line.ID
}

// isOf tells the flow of a failure by the number that was called, that of a connection by why it was refused.
func (s *failing) isOf(line callflow.Summary, f *failure) bool {
	if f.called != "" {
		return strings.HasPrefix(line.To, f.called+"@")
	}
	return line.From == "" && line.Reason == f.reason
}

func (s *failing) list(t *testing.T) []callflow.Summary {
	t.Helper()
	var list api.FlowList
	if err := json.Unmarshal([]byte(apiText(t, s.admin, "/api/v1/flows?limit=100")), &list); err != nil {
		t.Fatal(err)
	}
	return list.Flows
}

// checkShown wants cause and remedy of a failure above its ladder in the terminal.
func (s *failing) checkShown(t *testing.T, f *failure, id string, where ...string) {
	t.Helper()
	shown := strings.Join(strings.Fields(sallyport(t, s.dir, append([]string{"flow", "show", id}, where...)...)), " ")
	for _, words := range [][]string{f.cause, f.says, f.remedy} {
		if !saysAll(shown, words) {
			t.Errorf("flow show %s does not have %q:\n%s", id, words, shown)
		}
	}
}

// checkFile writes all of them into a file and wants the same said of each from there: it is what watch opens.
func (s *failing) checkFile(t *testing.T) {
	t.Helper()
	sallyport(t, s.dir, append([]string{"flow", "export", "--data", "data", "--format", "json", "--out", "flows.json"}, s.flows...)...)
	text, err := os.ReadFile(filepath.Join(s.dir, "flows.json"))
	if err != nil {
		t.Fatal(err)
	}
	flows, err := export.Decode(bytes.NewReader(text))
	if err != nil || len(flows) != len(failures) {
		t.Fatalf("the file has %d flows, want %d (%v)", len(flows), len(failures), err)
	}
	for i := range failures {
		s.checkShown(t, &failures[i], s.flows[i], "--file", "flows.json")
	}
}

// stay lets a person look.
func (s *failing) stay(t *testing.T) {
	fmt.Fprintf(os.Stderr, "\nThe page:     http://%s/\nThe terminal: %s watch --api http://%[1]s\nThe file:     %[2]s watch %[3]s\nInterrupt, or wait %[4]v, to end it.\n\n",
		s.admin, binary, filepath.Join(s.dir, "flows.json"), *holdStage)
	for i := range failures {
		fmt.Fprintf(os.Stderr, "%-42s http://%s/#/call/%s\n", failures[i].name, s.admin, url.PathEscape(s.flows[i]))
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	select {
	case <-interrupted:
	case <-time.After(*holdStage):
	}
}

// saysAll reports whether a text has all the words, in small letters or large.
func saysAll(text string, words []string) bool {
	text = strings.ToLower(text)
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, strings.ToLower(w)) })
}
