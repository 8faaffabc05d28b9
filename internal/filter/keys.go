package filter

import (
	"iter"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// kind says what the values of a key are.
type kind uint8

const (
	words      kind = iota // any text; asterisks stand for any characters
	address                // a user, a host, or user@host
	enumerated             // one of a few words
	number
	duration
	moment
)

func (k kind) compares() bool { return k == number || k == duration }

// String is what the page says of it.
func (k kind) String() string {
	return [...]string{words: "text", address: "address", enumerated: "word", number: "number", duration: "duration", moment: "time"}[k]
}

// found is what a subject has under a key: none, one or several.
type found struct {
	texts   []string
	numbers []int64
}

func texts(all ...string) found { return found{texts: all} }

func numbers(all ...int64) found { return found{numbers: all} }

// A key is one row of the language.
type key struct {
	name    string
	kind    kind
	cased   bool // names that differ in case are different names
	example string
	about   string
	words   func() []string // of an enumerated one
	flow    func(*callflow.Flow) found
	call    func(*store.CDR) found
	shake   func(*callflow.Handshake) found
}

// of reports whether a subject has the key.
func (k *key) of(s Subject) bool {
	switch s {
	case Flows:
		return k.flow != nil
	case Calls:
		return k.call != nil
	}
	return k.shake != nil
}

// keys is the language: docs/reference/filter.md has the same rows.
var keys = []key{
	{name: "state", kind: enumerated, example: "state:failed,busy", about: "how it stands, or came out", words: states,
		flow:  func(f *callflow.Flow) found { return texts(string(f.State)) },
		call:  callStates,
		shake: shakeStates},
	{name: "id", kind: words, example: "id:41", about: "the id, with or without the run before it",
		flow:  func(f *callflow.Flow) found { return texts(ids(f.ID)...) },
		call:  func(c *store.CDR) found { return texts(c.ID, itoa(int(c.Call)), c.Flow()) },
		shake: func(h *callflow.Handshake) found { return texts(h.ID) }},
	{name: "from", kind: address, example: "from:+49*", about: "who calls; a record of a call has the user alone",
		flow: func(f *callflow.Flow) found { return texts(f.From) },
		call: func(c *store.CDR) found { return texts(c.Caller) }},
	{name: "to", kind: address, example: "to:bob@example.com", about: "who is called; a record of a call has the user alone",
		flow: func(f *callflow.Flow) found { return texts(f.To) },
		call: func(c *store.CDR) found { return texts(c.Called) }},
	{name: "number", kind: address, example: "number:+4930*", about: "who calls or is called",
		flow: func(f *callflow.Flow) found { return texts(f.From, f.To) },
		call: func(c *store.CDR) found { return texts(c.Caller, c.Called) }},
	{name: "peer", kind: words, cased: true, example: "peer:acme", about: "a peer of any leg, also of a target that was tried in vain; of a handshake also the one whose address a stranger came from",
		flow:  func(f *callflow.Flow) found { return eachLeg(f, func(l *callflow.Leg) string { return l.Peer }) },
		call:  func(c *store.CDR) found { return eachSide(c, func(l *store.Leg) string { return l.Peer }) },
		shake: func(h *callflow.Handshake) found { return present(h.Peer, h.Address) }},
	{name: "call-id", kind: words, cased: true, example: "call-id:a84b4c76*", about: "the Call-ID of any leg",
		flow: func(f *callflow.Flow) found { return eachLeg(f, func(l *callflow.Leg) string { return l.CallID }) },
		call: func(c *store.CDR) found { return eachSide(c, func(l *store.Leg) string { return l.CallID }) }},
	{name: "session", kind: words, example: "session:ab30317f*", about: "the Session-ID that the legs have in common (RFC 7989)",
		flow: func(f *callflow.Flow) found { return present(f.Session) }},
	{name: "method", kind: words, example: "-method:OPTIONS", about: "a SIP request in it; a record of a call has INVITE", flow: methods,
		call: func(*store.CDR) found { return texts("INVITE") }},
	{name: "code", kind: number, example: "code>=500", about: "a SIP response in it, on any leg; 4* is every one that begins so", flow: codes, call: callCodes},
	{name: "finding", kind: words, example: "finding:ack-missing", about: "what is wrong with it, by the code in findings.md",
		flow: func(f *callflow.Flow) found {
			return eachFinding(f, func(g *callflow.Finding) string { return g.Code })
		}},
	{name: "severity", kind: enumerated, example: "severity:problem", about: "how grave something that is wrong with it is",
		words: func() []string {
			return []string{string(callflow.Problem), string(callflow.Warning), string(callflow.Hint)}
		},
		flow: func(f *callflow.Flow) found {
			return eachFinding(f, func(g *callflow.Finding) string { return string(g.Severity) })
		}},
	{name: "security", kind: enumerated, example: "security:hop-by-hop", about: "how secure the signalling was: security.md",
		words: func() []string { return callflow.SecurityWords },
		flow: func(f *callflow.Flow) found {
			if f.Security == nil {
				return found{}
			}
			return texts(f.Security.Word)
		},
		call: func(c *store.CDR) found { return present(c.Verdict) }},
	{name: "setup", kind: duration, example: "setup>2s", about: "from the INVITE to the answer, of what was answered",
		flow: func(f *callflow.Flow) found { return positive(f.Setup) },
		call: func(c *store.CDR) found {
			if c.Answered.IsZero() {
				return found{}
			}
			return numbers(int64(c.Answered.Sub(c.Began)))
		}},
	{name: "duration", kind: duration, example: "duration<10s", about: "from the answer to the end, of what was answered; of a handshake how long it took",
		flow: func(f *callflow.Flow) found { return answeredFor(f.State, f.Duration) },
		call: func(c *store.CDR) found {
			if c.Answered.IsZero() || c.Ended.IsZero() {
				return found{}
			}
			return numbers(int64(c.Ended.Sub(c.Answered)))
		},
		shake: func(h *callflow.Handshake) found { return numbers(int64(h.Took)) }},
	{name: "since", kind: moment, example: "since:1h", about: "it began then or later",
		flow:  func(f *callflow.Flow) found { return numbers(f.Start.UnixNano()) },
		call:  func(c *store.CDR) found { return numbers(c.Began.UnixNano()) },
		shake: func(h *callflow.Handshake) found { return numbers(h.At.UnixNano()) }},
	{name: "until", kind: moment, example: "until:2026-03-01", about: "it began before",
		flow:  func(f *callflow.Flow) found { return numbers(f.Start.UnixNano()) },
		call:  func(c *store.CDR) found { return numbers(c.Began.UnixNano()) },
		shake: func(h *callflow.Handshake) found { return numbers(h.At.UnixNano()) }},
	{name: "legs", kind: number, example: "legs>2", about: "how many legs it has",
		flow: func(f *callflow.Flow) found { return numbers(int64(len(f.Legs))) },
		call: func(c *store.CDR) found { return numbers(int64(1 + len(c.Out))) }},
	{name: "leg", kind: words, example: "leg:C", about: "it has a leg of that name",
		flow: func(f *callflow.Flow) found { return eachLeg(f, func(l *callflow.Leg) string { return l.Name }) }},
	{name: "connection", kind: number, example: "connection:9", about: "the number of the connection of any hop, as in logs",
		flow: func(f *callflow.Flow) found {
			return eachLink(f, func(l *callflow.Link, n *found) { n.numbers = append(n.numbers, int64(l.ID)) })
		},
		call: func(c *store.CDR) found {
			n := numbers(int64(c.In.Connection))
			for i := range c.Out {
				n.numbers = append(n.numbers, int64(c.Out[i].Connection))
			}
			return n
		},
		shake: func(h *callflow.Handshake) found { return numbers(int64(h.Connection)) }},
	{name: "transport", kind: enumerated, example: "transport:tls", about: "the transport of any hop",
		words: func() []string { return []string{"udp", "tcp", "tls", "ws", "wss"} },
		flow: func(f *callflow.Flow) found {
			return eachLink(f, func(l *callflow.Link, n *found) { n.texts = append(n.texts, l.Transport) })
		},
		call:  func(c *store.CDR) found { return eachSide(c, func(l *store.Leg) string { return l.Transport }) },
		shake: func(h *callflow.Handshake) found { return texts(h.Transport) }},
	{name: "address", kind: words, example: "address:192.0.2.*", about: "the address of the other side of any hop, with or without port",
		flow: func(f *callflow.Flow) found {
			return eachLink(f, func(l *callflow.Link, n *found) {
				if l.Remote.IsValid() {
					n.texts = append(n.texts, hostPort(l.Remote.String())...)
				}
			})
		},
		call: func(c *store.CDR) found {
			n := found{}
			for l := range sides(c) {
				n.texts = append(n.texts, hostPort(l.Remote)...)
			}
			return n
		},
		shake: func(h *callflow.Handshake) found {
			if !h.Remote.IsValid() {
				return found{}
			}
			return texts(hostPort(h.Remote.String())...)
		}},
	{name: "listener", kind: words, example: "listener:outside", about: "the listener that a connection came to",
		flow: func(f *callflow.Flow) found {
			return eachLink(f, func(l *callflow.Link, n *found) { n.texts = append(n.texts, l.Listener) })
		},
		shake: func(h *callflow.Handshake) found { return present(h.Listener) }},
	{name: "tls.reason", kind: enumerated, example: "tls.reason:expired", about: "why a handshake was refused, by the code in faults.md", words: reasons,
		flow: flowReasons,
		call: func(c *store.CDR) found { return eachSide(c, func(l *store.Leg) string { return l.Reason }) },
		shake: func(h *callflow.Handshake) found {
			return verdictCodes(present(h.Code), h.Verdicts)
		}},
	{name: "tls.version", kind: enumerated, example: "tls.version:1.2", about: "the version of TLS on any hop",
		words: func() []string { return []string{"1.0", "1.1", "1.2", "1.3"} },
		flow:  func(f *callflow.Flow) found { return eachTLS(f, func(t *callflow.TLS) string { return t.Version }) },
		call:  func(c *store.CDR) found { return eachCallTLS(c, func(t *store.TLS) string { return t.Version }) },
		shake: func(h *callflow.Handshake) found { return present(h.Chosen.Version) }},
	{name: "tls.suite", kind: words, example: "tls.suite:*CBC*", about: "the cipher suite of any hop, as registered",
		flow:  func(f *callflow.Flow) found { return eachTLS(f, func(t *callflow.TLS) string { return t.Suite }) },
		call:  func(c *store.CDR) found { return eachCallTLS(c, func(t *store.TLS) string { return t.Suite }) },
		shake: func(h *callflow.Handshake) found { return present(h.Chosen.Suite) }},
	{name: "tls.group", kind: words, example: "tls.group:X25519", about: "the group of the key exchange on any hop",
		flow:  func(f *callflow.Flow) found { return eachTLS(f, func(t *callflow.TLS) string { return t.Group }) },
		call:  func(c *store.CDR) found { return eachCallTLS(c, func(t *store.TLS) string { return t.Group }) },
		shake: func(h *callflow.Handshake) found { return present(h.Chosen.Group) }},
	{name: "tls.name", kind: words, example: "tls.name:*.acme.example", about: "a name that was verified in the certificate of the other side; of a handshake, one that stands in it",
		flow: func(f *callflow.Flow) found {
			return eachLink(f, func(l *callflow.Link, n *found) {
				if l.TLS != nil {
					n.texts = append(n.texts, l.TLS.PeerNames...)
				}
			})
		},
		call: func(c *store.CDR) found {
			n := found{}
			for l := range sides(c) {
				if l.TLS != nil {
					n.texts = append(n.texts, l.TLS.Identity...)
				}
			}
			return n
		},
		shake: func(h *callflow.Handshake) found { return texts(h.NamesFound...) }},
	{name: "done", kind: enumerated, example: "done:no", about: "whether nothing more is expected", words: yesNo,
		flow: func(f *callflow.Flow) found { return texts(yes(f.Done)) },
		call: func(c *store.CDR) found { return texts(yes(c.State.Over())) }},
	{name: "route", kind: words, example: "route:emergency", about: "the route that decided",
		call: func(c *store.CDR) found { return present(c.Route) }},
	{name: "ended-by", kind: enumerated, example: "ended-by:gateway", about: "who ended it",
		words: func() []string { return []string{"caller", "callee", "gateway"} },
		call:  func(c *store.CDR) found { return present(c.EndedBy) }},
	{name: "role", kind: enumerated, example: "role:client", about: "what the gateway was in the handshake",
		words: func() []string { return []string{callflow.RoleClient, callflow.RoleServer} },
		shake: func(h *callflow.Handshake) found { return texts(h.Role) }},
	{name: "text", kind: words, example: `text:"Max-Forwards: 0"`, about: "some text, in the SIP messages too; asterisks mean nothing more",
		flow: noText[callflow.Flow], call: noText[store.CDR], shake: noText[callflow.Handshake]},
}

// aliases are other names that people try.
var aliases = map[string]string{"callid": "call-id", "status": "code", "caller": "from", "called": "to", "reason": "tls.reason",
	"verdict": "security", "conn": "connection", "ip": "address", "remote": "address", "after": "since", "before": "until"}

// lookup finds a key by its name.
func lookup(name string) *key {
	if other := aliases[name]; other != "" {
		name = other
	}
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	return nil
}

func keyNames() []string {
	names := []string{"filter"}
	for i := range keys {
		names = append(names, keys[i].name)
	}
	return names
}

func states() []string {
	var all []string
	for _, s := range []callflow.State{callflow.StateRinging, callflow.StateAnswered, callflow.StateEnded, callflow.StateBusy, callflow.StateCancelled,
		callflow.StateRefused, callflow.StateFailed, callflow.StateSending, callflow.StateDelivered, callflow.StateUnanswered, callflow.StateSubscribed} {
		all = append(all, string(s))
	}
	return append(all, string(store.Opened), string(store.Interrupted), callflow.OutcomeGood)
}

func reasons() []string {
	var all []string
	for _, c := range trust.Codes() {
		all = append(all, string(c))
	}
	return all
}

func yesNo() []string { return []string{"yes", "no"} }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// StateOf is the state of a flow that a record of a call tells.
func StateOf(c *store.CDR) callflow.State {
	switch c.State {
	case store.Opened:
		return callflow.StateRinging
	case store.Answered:
		return callflow.StateAnswered
	case store.Ended:
		return callflow.StateEnded
	case store.Cancelled:
		return callflow.StateCancelled
	case store.Refused:
		if c.Cause.SIP == 486 || c.Cause.SIP == 600 {
			return callflow.StateBusy
		}
	}
	return callflow.StateFailed
}

// callStates are the word that a flow would have, and of the record's own words those that no flow has.
func callStates(c *store.CDR) found {
	n := texts(string(StateOf(c)))
	if c.State == store.Opened || c.State == store.Interrupted {
		n.texts = append(n.texts, string(c.State))
	}
	return n
}

// shakeStates are the outcome, and for what came to nothing both words for that.
func shakeStates(h *callflow.Handshake) found {
	if h.Failed() {
		return texts(string(callflow.StateRefused), string(callflow.StateFailed))
	}
	return texts(h.Outcome)
}

// ids are the ways to name a flow: k3f9-41 is also 41.
func ids(id string) []string {
	all := []string{id}
	for _, kind := range []string{"conn-", "leg-"} {
		if i := strings.Index(id, "-"+kind); i > 0 {
			return append(all, id[i+1:])
		}
	}
	if n := callflow.NumberOf(id); n != 0 && itoa(int(n)) != id {
		all = append(all, itoa(int(n)))
	}
	return all
}

func present(all ...string) (n found) {
	for _, s := range all {
		if s != "" {
			n.texts = append(n.texts, s)
		}
	}
	return n
}

func positive(d time.Duration) found {
	if d <= 0 {
		return found{}
	}
	return numbers(int64(d))
}

// answeredFor is a duration that means something: before the answer there is none.
func answeredFor(s callflow.State, d time.Duration) found {
	if s != callflow.StateAnswered && s != callflow.StateEnded && d == 0 {
		return found{}
	}
	return numbers(int64(d))
}

func hostPort(s string) []string {
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		return present(s).texts
	}
	return []string{s, host}
}

func eachLeg(f *callflow.Flow, of func(*callflow.Leg) string) (n found) {
	for _, l := range f.Legs {
		if s := of(l); s != "" {
			n.texts = append(n.texts, s)
		}
	}
	return n
}

func eachLink(f *callflow.Flow, add func(*callflow.Link, *found)) (n found) {
	for _, l := range f.Legs {
		if l.Hop.Link != nil {
			add(l.Hop.Link, &n)
		}
	}
	return n
}

func eachTLS(f *callflow.Flow, of func(*callflow.TLS) string) found {
	return eachLink(f, func(l *callflow.Link, n *found) {
		if l.TLS != nil {
			n.texts = append(n.texts, of(l.TLS))
		}
	})
}

func eachFinding(f *callflow.Flow, of func(*callflow.Finding) string) (n found) {
	for i := range f.Findings {
		n.texts = append(n.texts, of(&f.Findings[i]))
	}
	return n
}

// sides are the legs of a record.
func sides(c *store.CDR) iter.Seq[*store.Leg] {
	return func(yield func(*store.Leg) bool) {
		if !yield(&c.In) {
			return
		}
		for i := range c.Out {
			if !yield(&c.Out[i]) {
				return
			}
		}
	}
}

func eachSide(c *store.CDR, of func(*store.Leg) string) (n found) {
	for l := range sides(c) {
		if s := of(l); s != "" {
			n.texts = append(n.texts, s)
		}
	}
	return n
}

func eachCallTLS(c *store.CDR, of func(*store.TLS) string) (n found) {
	for l := range sides(c) {
		if l.TLS != nil {
			n.texts = append(n.texts, of(l.TLS))
		}
	}
	return n
}

func callCodes(c *store.CDR) (n found) {
	for l := range sides(c) {
		if l.Code != 0 {
			n.numbers = append(n.numbers, int64(l.Code))
		}
	}
	if c.Cause.SIP != 0 && !slices.Contains(n.numbers, int64(c.Cause.SIP)) {
		n.numbers = append(n.numbers, int64(c.Cause.SIP))
	}
	return n
}

func flowReasons(f *callflow.Flow) (n found) {
	for _, l := range f.Legs {
		n = verdictCodes(n, l.Hop.Verdicts)
	}
	return n
}

// verdictCodes adds the reasons of verdicts that refuse, those that are inferred too.
func verdictCodes(n found, all []callflow.Verdict) found {
	for i := range all {
		if v := &all[i]; !v.Accepted && !v.Undecided && v.Code != "" {
			n.texts = append(n.texts, v.Code)
		}
	}
	return n
}

// noText marks the subjects of text:, which is looked for and not compared.
func noText[T any](*T) found { return found{} }

// A Key is what there is to say of one key.
type Key struct {
	Name, Kind, Example, About string
	Words                      []string // of one whose values are a few words
}

// Keys are those that a subject has.
func Keys(of Subject) []Key {
	var all []Key
	for i := range keys {
		k := &keys[i]
		if !k.of(of) {
			continue
		}
		one := Key{Name: k.name, Kind: k.kind.String(), Example: k.example, About: k.about}
		if k.words != nil {
			one.Words = k.words()
		}
		all = append(all, one)
	}
	return all
}
