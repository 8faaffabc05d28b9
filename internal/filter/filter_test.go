package filter

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/store"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var savedOnes = map[string]string{"bad": "state:failed OR state:refused", "acme": "peer:acme", "both": "@bad @acme", "wrong": "state:xyz", "a": "@b", "b": "@a"}

func options(s Subject) Options { return Options{Now: now, For: s, Saved: savedOnes} }

// sample is a flow with something under every key.
func sample() *callflow.Flow {
	link := &callflow.Link{ID: 9, Transport: "tls", Listener: "outside", Remote: netip.MustParseAddrPort("192.0.2.7:5061"),
		TLS: &callflow.TLS{Version: "1.2", Suite: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", Group: "X25519", PeerNames: []string{"sip.acme.example"}}}
	return &callflow.Flow{
		ID: "k3f9-41", State: callflow.StateFailed, Sentence: "Failed: acme answered 503 Out of order on hop B", Done: true,
		From: "+4930123@office.example", To: "bob@acme.example", Start: now.Add(-30 * time.Minute), Setup: 3 * time.Second,
		Session: "ab30317f1a784dc48ff824d0d3715d86", Security: &callflow.Security{Word: callflow.HopByHop},
		Legs: []*callflow.Leg{
			{Name: "A", Peer: "office", CallID: "in@office"},
			{Name: "B", Peer: "acme", CallID: "a84b4c76e66710", Hop: callflow.Hop{Link: link, Verdicts: []callflow.Verdict{{ByGateway: true, Code: "expired", Reason: "the certificate has expired"}}}},
		},
		Lifelines: []callflow.Lifeline{{Name: "office"}, {Name: "gateway", Gateway: true}, {Name: "acme", Address: "192.0.2.7:5061"}},
		Findings:  []callflow.Finding{{Code: "ack-missing", Severity: callflow.Problem, Sentence: "no ACK came"}},
		Rows: []callflow.Row{
			{Kind: callflow.RowSIP, Raw: []byte("INVITE sip:bob@acme.example SIP/2.0\r\nUser-Agent: Snom 320\r\n\r\n")},
			{Kind: callflow.RowSIP, Raw: []byte("SIP/2.0 503 Out of order\r\n\r\n")},
		},
	}
}

func TestFlow(t *testing.T) {
	f := sample()
	for _, test := range []struct {
		yes, no string
	}{
		{"state:failed", "state:ended"}, {"state:ended,failed", "state:ended,busy"}, {"-state:ended", "-state:failed"},
		{"STATE:FAILED", "State:Ended"}, {"state:fail*", "state:a*"}, {"state=failed", "state=ended"},
		{"id:41", "id:42"}, {"id:k3f9-41", "id:k3f8-41"},
		{"from:+49*", "from:+43*"}, {"from:+4930123", "from:+493012"}, {"from:+4930123@office.example", "from:+4930123@acme.example"},
		{"from:office.example", "from:acme.example"}, {"from:sip:+4930123@office.example", "to:sip:+4930123"},
		{"to:bob", "to:alice"}, {"number:bob number:+49*", "number:bob number:+43*"},
		{"peer:acme", "peer:acm"}, {"peer:acm*", "peer:ACME"}, {"peer:acme peer:office", "peer:acme peer:carrier"},
		{"call-id:a84b4c76*", "call-id:a84b"}, {"callid:in@office", `call-id:"a84*"`},
		{"session:ab30317f*", "session:ab30317f"},
		{"method:invite", "method:OPTIONS"}, {"-method:OPTIONS", "-method:INVITE"},
		{"code:503", "code:486"}, {"code>=500", "code<500"}, {"code:5*", "code:4*"}, {"code<=503 code>502", "code>503"},
		{"finding:ack-missing", "finding:clock"}, {"finding:ack-*", "-finding:*"}, {"severity:problem", "severity:hint"},
		{"security:hop-by-hop", "security:plain"},
		{"setup>2s", "setup>3s"}, {"setup>=3s", "setup<3s"}, {"-setup>1h", "-setup>1s"},
		{"since:1h", "since:10m"}, {"until:10m", "until:1h"}, {"since:2026-03-01T11:00 until:12:00", "since:11:45"}, {`since:"2026-03-01 11:29"`, "since:2026-03-02"},
		{"legs:2", "legs>2"}, {"leg:B", "leg:C"}, {"connection:9", "connection:8"}, {"transport:tls", "transport:udp"},
		{"address:192.0.2.*", "address:192.0.3.*"}, {"address:192.0.2.7", "address:192.0.2"}, {"address:192.0.2.7:5061", "address:192.0.2.7:5060"},
		{"listener:outside", "listener:inside"}, {"tls.reason:expired", "tls.reason:revoked"}, {"tls.version:1.2", "tls.version:1.3"},
		{"tls.suite:*CBC*", "tls.suite:*GCM*"}, {"tls.group:x25519", "tls.group:P-256"}, {"tls.name:*.acme.example", "tls.name:acme.example"},
		{"done:yes", "done:no"}, {"text:snom", "text:grandstream"}, {`text:"agent: snom"`, `text:"agent:snom"`},
		{"acme", "snom"}, {"+4930", "+43"}, {"a84b4c", "b84b4c"}, {`"out of order"`, `"in order"`}, {"sip:bob@acme.example", "sip:bob@x"},
		{"192.0.2.7:5061", "192.0.2.7:5062"}, {"*acme*", "*carrier*"}, {"expired", "revoked"}, {"ack-missing", "-ack-missing"},
		{"state:ended OR state:failed", "state:ended OR state:busy"}, {"peer:x OR peer:acme state:failed", "peer:x OR peer:acme state:ended"},
		{"@bad", "-@bad"}, {"@both", "@bad peer:x"}, {"filter:acme", "-filter:acme"}, {"-@both OR peer:acme", "-@both OR peer:x"},
		{"", "duration<10s"}, // it was not answered
	} {
		for text, want := range map[string]bool{test.yes: true, test.no: false} {
			got, err := Parse(text, options(Flows))
			if err != nil {
				t.Errorf("%s: %v", text, err)
			} else if got.Flow(f) != want {
				t.Errorf("%s: got %v", text, !want)
			}
		}
	}
}

func TestCall(t *testing.T) {
	c := &store.CDR{ID: "01kb4y1m5r6zc", Call: 41, State: store.Refused, Caller: "+4930123", Called: "bob", Route: "out", Began: now.Add(-time.Hour),
		Ended: now.Add(-time.Hour + time.Minute), EndedBy: "callee", Verdict: callflow.Plain, Cause: store.Cause{SIP: 486, Text: "acme answered 486"},
		In: store.Leg{Peer: "office", CallID: "in", Transport: "udp", Remote: "192.0.2.1:5060"},
		Out: []store.Leg{{Peer: "backup", CallID: "x", Code: 503, Text: "it is on fire"}, {Peer: "acme", CallID: "y", Code: 486, Connection: 7,
			TLS: &store.TLS{Version: "1.3", Suite: "S", Group: "G", Identity: []string{"acme.example"}}}}}
	for _, test := range []struct{ yes, no string }{
		{"state:busy", "state:failed"}, {"peer:backup", "peer:x"}, {"to:bob@acme.example", "to:al*@acme.example"}, {"from:+49*", "from:acme.example"},
		{"call-id:y", "call-id:z"}, {"code:503,480", "code:404"}, {"method:INVITE", "method:OPTIONS"}, {"security:plain", "security:secured"},
		{"legs:3", "legs:2"}, {"connection:7", "connection:8"}, {"transport:udp", "transport:tls"}, {"tls.version:1.3", "tls.version:1.2"},
		{"tls.name:acme.*", "tls.name:x"}, {"address:192.0.2.1", "address:192.0.2.2"}, {"route:out", "route:in"}, {"ended-by:callee", "ended-by:caller"},
		{"since:2h", "since:30m"}, {"-setup>0s", "setup>0s"}, {"done:yes", "done:no"}, {"fire", "water"}, {`text:"on fire"`, "text:water"}, {"id:41", "id:42"},
	} {
		for text, want := range map[string]bool{test.yes: true, test.no: false} {
			got, err := Parse(text, options(Calls))
			if err != nil {
				t.Errorf("%s: %v", text, err)
			} else if got.Call(c) != want {
				t.Errorf("%s: got %v", text, !want)
			}
		}
	}
	interrupted := &store.CDR{State: store.Interrupted}
	if f, _ := Parse("state:interrupted state:failed", options(Calls)); !f.Call(interrupted) {
		t.Error("an interrupted call has not failed")
	}
}

func TestHandshake(t *testing.T) {
	h := &callflow.Handshake{ID: "x", Connection: 3, At: now.Add(-time.Hour), Took: 40 * time.Millisecond, Role: callflow.RoleServer, Transport: "tls",
		Remote: netip.MustParseAddrPort("192.0.2.9:40000"), Listener: "outside", Address: "acme", Outcome: callflow.OutcomeRefused, Code: "expired",
		Sentence: "the gateway refused 192.0.2.9:40000", Chosen: callflow.Chosen{Version: "1.2"}, NamesFound: []string{"acme.example"}}
	for _, test := range []struct{ yes, no string }{
		{"state:refused", "state:good"}, {"state:failed", "-state:failed"}, {"peer:acme", "peer:x"}, {"tls.reason:expired", "tls.reason:revoked"},
		{"listener:outside", "listener:x"}, {"role:server", "role:client"}, {"duration<1s", "duration>1s"}, {"tls.name:acme.example", "tls.name:x"},
		{"since:2h", "until:2h"}, {"refused", "accepted"}, {"connection:3", "connection:4"}, {"tls.version:1.2", "tls.version:1.3"},
	} {
		for text, want := range map[string]bool{test.yes: true, test.no: false} {
			got, err := Parse(text, options(Handshakes))
			if err != nil {
				t.Errorf("%s: %v", text, err)
			} else if got.Handshake(h) != want {
				t.Errorf("%s: got %v", text, !want)
			}
		}
	}
}

// Each error says where, what, and what to do.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		text   string
		of     Subject
		at     string // what the caret is under
		says   string
		remedy string
	}{
		{"peeer:acme", 0, "peeer", `there is no key "peeer"`, "did you mean peer:?"},
		{"état foo:bar", 0, "foo", `there is no key "foo"`, "in quotes"},
		{"state:faild", 0, "faild", `state has no "faild"`, "did you mean state:failed?"},
		{"state:ended,x", 0, "x", `state has no "x"`, "one of ringing"},
		{"tls.reason:expird", 0, "expird", "tls.reason has no", "did you mean tls.reason:expired?"},
		{"setup>2", 0, "2", `"2" is no duration`, "2s"},
		{"setup>2s,3s", 0, ",", "takes one value", "OR setup>Y"},
		{"since:soon", 0, "soon", `"soon" is no time`, "90m"},
		{"code:abc", 0, "abc", "no whole number", "code>=500"},
		{"peer>acme", 0, "peer>", "no number", "write peer:"},
		{"a peer: b", 0, "peer:", "without a value", "peer:acme"},
		{"peer:", 0, "peer:", "without a value", "peer:acme"},
		{"peer:a,", 0, "peer:a,", "without a value", "peer:acme"},
		{`peer:"acme`, 0, `"`, "not closed", "close it"},
		{`peer:"a"b`, 0, "b", "follows the closing quote", "blank"},
		{`ac"me`, 0, `"`, "middle of a word", "quotes around"},
		{`a\b`, 0, `\`, "outside of quotes", "in quotes"},
		{`""`, 0, `""`, "nothing between", "leave it out"},
		{"OR peer:x", 0, "OR", "nothing stands before OR", "both sides"},
		{"a OR", 0, "OR", "nothing stands behind OR", "both sides"},
		{"a OR OR b", 0, "OR", "nothing stands before OR", "both sides"},
		{"a AND b", 0, "AND", "there is no AND", "leave it out"},
		{"NOT a", 0, "NOT", "there is no NOT", "minus"},
		{"a - b", 0, "-", "stands alone", "directly before"},
		{"@bda", 0, "@bda", `no filter is saved as "bda"`, "did you mean @bad?"},
		{"filter:zzzzzz", 0, "filter:zzzzzz", "no filter is saved", "there are @a, @acme"},
		{"@wrong", 0, "@wrong", `saved as "wrong" is wrong`, `character 7: state has no "xyz"`},
		{"@a", 0, "@a", `saved as "a" is wrong`, "use each other"},
		{"finding:x", Calls, "finding:", "finding: a record of a call has no such thing", "leave it out"},
		{"from:x", Handshakes, "from:", "a record of a handshake has no such thing", "leave it out"},
		{"route:x", Flows, "route:", "a flow has no such thing", "leave it out"},
		{strings.Repeat("a ", 70), 0, "a", "more than 64 conditions", ""},
		{strings.Repeat("a", 5000), 0, "", "4096 are the most", ""},
	} {
		_, err := Parse(test.text, options(test.of))
		e, ok := err.(*Error)
		if !ok {
			t.Errorf("%s: got %v", test.text, err)
			continue
		}
		if got := e.Text[e.At : e.At+e.Length]; got != test.at || !strings.Contains(e.What, test.says) || !strings.Contains(e.Remedy, test.remedy) {
			t.Errorf("%s: at %q: %v", test.text, got, err)
		}
	}
	_, err := Parse("état foo:bar", options(0))
	e := err.(*Error)
	if got, want := e.Caret(), "état foo:bar\n     ^^^"; got != want || e.Column() != 6 {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := Parse("a\xff", options(0)); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
		t.Errorf("got %v", err)
	}
}

// What the store is asked for has everything that the filter wants.
func TestNarrow(t *testing.T) {
	hour := now.Add(-time.Hour)
	for text, want := range map[string]store.Filter{
		"":                                  {},
		"since:1h until:12:00":              {Since: hour, Until: now},
		"since:2h since:1h":                 {Since: hour},
		"number:+4930123 peer:acme":         {Number: "+4930123", Peer: "acme"},
		"from:sip:+4930*@x call-id:abc":     {Number: "+4930*", CallID: "abc"},
		"to:bob":                            {}, // may be a host
		"peer:Acme":                         {Peer: "Acme"},
		"call-id:A84b@Host state:FAILED":    {CallID: "A84b@Host"},
		"tls.reason:Expired code:503":       {Reason: "expired"},
		"code:503":                          {Reason: "503"},
		"code:180 code>=500 code:5*":        {},
		"id:k3f9-41":                        {Flow: "k3f9-41"},
		"id:41":                             {},
		"id:conn-9":                         {},
		"peer:a* call-id:a,b -state:failed": {},
		"peer:a OR peer:b":                  {},
		"@both":                             {Peer: "acme"},
		"-@acme":                            {},
		"state:failed":                      {Failed: true},
		"state:busy security:plain":         {State: store.Refused, Verdict: "plain"},
		"state:ringing":                     {State: store.Opened},
		"state:interrupted":                 {State: store.Interrupted},
		`number:"+49*"`:                     {},
	} {
		f, err := Parse(text, options(0))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := f.Calls(); !reflect.DeepEqual(got, want) && !(got.Since.Equal(want.Since) && got.Until.Equal(want.Until) && got.Number == want.Number && got.Peer == want.Peer && got.CallID == want.CallID && got.State == want.State && got.Failed == want.Failed && got.Verdict == want.Verdict && got.Reason == want.Reason && got.Flow == want.Flow) {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
	f, err := Parse("peer:acme role:client state:failed since:1h listener:out", options(0))
	if got := f.Handshakes(); err != nil || !got.Failed || got.Peer != "acme" || got.Role != "client" || !got.Since.Equal(hour) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"a*", "a", true}, {"a*", "ba", false}, {"*b", "ab", true}, {"a*c", "abc", true}, {"a*c", "abcd", false},
		{"*a*b*", "xxaxxbxx", true}, {"*a*b*", "xxbxxaxx", false}, {"a**b", "ab", true}, {"", "", true}, {"", "a", false},
		{strings.Repeat("*a", 200) + "b", strings.Repeat("a", 4000), false},
	} {
		if got := glob(test.pattern, test.text); got != test.want {
			t.Errorf("%.20s on %.20s: got %v", test.pattern, test.text, got)
		}
	}
}

// FuzzParse: what is read, written and read again is the same, and judges the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"state:failed tls.reason:expired -method:OPTIONS peer:acme to:+49* setup>2s since:1h", `a OR "b c" -"OR" "-x" @both`,
		`text:"a\"b\\c" code>=500 code:4*,503`, `peer:"*" "peer:x" sip:alice@a.test "@x" id:"a,b",c`, "éa -@bad"} {
		f.Add(s)
	}
	flow := sample()
	f.Fuzz(func(t *testing.T, text string) {
		one, err := Parse(text, options(0))
		if err != nil {
			e := err.(*Error)
			_, _, _ = e.Error(), e.Caret(), e.Text[e.At:e.At+e.Length]
			return
		}
		written := one.String()
		if len(written) > maxText {
			return
		}
		two, err := Parse(written, options(0))
		if err != nil {
			t.Fatalf("%q was written as %q: %v", text, written, err)
		}
		if again := two.String(); again != written || one.Flow(flow) != two.Flow(flow) {
			t.Fatalf("%q was written as %q, and that as %q", text, written, again)
		}
		for i, c := range one.clauses {
			for j := range c {
				a, b := c[j], two.clauses[i][j]
				a.at, b.at = 0, 0
				a.saved, b.saved = nil, nil
				if !reflect.DeepEqual(a, b) {
					t.Fatalf("%q: %+v is not %+v", text, a, b)
				}
			}
		}
		_ = one.Calls()
	})
}

// A saved filter that is wrong has its place in the configuration.
func TestCheck(t *testing.T) {
	cfg, problems := config.Parse("gw.yaml", []byte(`listeners: {a: {listen: "udp:127.0.0.1:5060"}}
peers: {p: {uri: "sip:192.0.2.1"}}
filters:
  good: "@bad"
  bad: "peer:x state:faild"
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, p := range Check(cfg) {
		got = append(got, p.String())
	}
	want := []string{
		`gw.yaml:4:9: filter "good", character 1: the filter that is saved as "bad" is wrong, it is @bad, character 14: state has no "faild": did you mean state:failed?`,
		`gw.yaml:5:8: filter "bad", character 14: state has no "faild", it is peer:x state:faild, did you mean state:failed?`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}
