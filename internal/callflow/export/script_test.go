package export

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// A script is the input of a golden: one event a line, as "<ms> <verb> <words> <key=value>…". The verbs are the cases
// of run; full12 and full13 stand for all steps of a good handshake.
type script struct {
	t      testing.TB
	start  time.Time
	now    time.Time
	events []callflow.Event
	links  map[string]*callflow.Link
	who    map[string]string // user and host of From and To, by that word and Call-ID, when a message gave them
}

func parseScript(t testing.TB, text string) []callflow.Event {
	t.Helper()
	s := &script{t: t, start: time.Date(2026, 3, 1, 20, 5, 23, 589e6, time.UTC), links: map[string]*callflow.Link{}, who: map[string]string{}}
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words, keys := tokens(line)
		ms, err := strconv.ParseFloat(words[0], 64)
		if err != nil || len(words) < 2 {
			t.Fatalf("script line %d: %q: %v", n+1, line, err)
		}
		s.now = s.start.Add(time.Duration(ms * float64(time.Millisecond)))
		s.run(words[1], words[2:], keys)
	}
	return s.events
}

// tokens splits a line at blanks outside quotes; words with = become keys.
func tokens(line string) (words []string, keys map[string]string) {
	keys = map[string]string{}
	var word strings.Builder
	quoted := false
	flush := func() {
		if w := word.String(); w != "" {
			if k, v, ok := strings.Cut(w, "="); ok {
				keys[k] = v
			} else {
				words = append(words, w)
			}
		}
		word.Reset()
	}
	for _, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ' ' && !quoted:
			flush()
		default:
			word.WriteRune(r)
		}
	}
	flush()
	return words, keys
}

func (s *script) add(e callflow.Event) {
	e.Seq, e.At = uint64(len(s.events)+1), s.now
	s.events = append(s.events, e)
}

func (s *script) run(verb string, w []string, k map[string]string) {
	switch verb {
	case "open", "udp", "dial":
		s.open(verb, w, k)
	case "step":
		s.step(s.links[w[0]], w[1] == "gateway", w[2], k)
	case "full13", "full12":
		s.full(s.links[w[0]], verb)
	case "up":
		s.agree(s.links[w[0]], w[1:], k)
		s.add(callflow.Event{Kind: callflow.Ready, Link: s.links[w[0]]})
	case "agreed":
		s.agree(s.links[w[0]], w[1:], k)
	case "verdict":
		s.add(callflow.Event{Kind: callflow.Judged, Link: s.links[w[0]], Verdict: &callflow.Verdict{
			ByGateway: w[1] == "gateway", Accepted: w[2] == "accepted",
			KnownBy: k["known"], Reason: k["reason"], Remedy: k["remedy"]}})
	case "refused":
		s.add(callflow.Event{Kind: callflow.Refused, Link: s.links[w[0]], Reason: k["reason"]})
	case "closed":
		all := strings.Join(w, " ")
		s.add(callflow.Event{Kind: callflow.Closed, Link: s.links[w[0]], Reason: k["reason"], Notify: callflow.Notify{
			Known: s.links[w[0]].TLS != nil, Sent: strings.Contains(all, "sent"), Received: strings.Contains(all, "received")}})
	case "in", "out":
		for _, who := range []string{"from", "to"} {
			if was := s.who[who+k["call"]]; was != "" && k[who] == "" {
				k[who] = was
			}
			s.who[who+k["call"]] = k[who]
		}
		remote, _ := netip.ParseAddrPort(k["remote"])
		s.add(callflow.Event{Kind: callflow.Message, Link: s.links[w[0]], Out: verb == "out", Remote: remote,
			Raw: sipMessage(w[1:], k)})
	case "leg", "route", "fail", "timeout", "note":
		s.record(verb, w, k)
	default:
		s.t.Fatalf("script: unknown verb %q", verb)
	}
}

func (s *script) open(verb string, w []string, k map[string]string) {
	id, _ := strconv.ParseUint(w[0][1:], 10, 64)
	l := &callflow.Link{ID: id, Opened: s.now, Peer: k["peer"]}
	s.links[w[0]] = l
	if verb == "udp" {
		l.Transport, l.Local, l.Opened = "udp", netip.MustParseAddrPort(w[1]), time.Time{}
		return
	}
	l.Inbound, l.Transport = w[1] == "in", w[2]
	from, to := netip.MustParseAddrPort(w[3]), netip.MustParseAddrPort(w[5])
	l.Local, l.Remote = from, to
	if l.Inbound {
		l.Local, l.Remote = to, from
	}
	if verb == "open" {
		s.add(callflow.Event{Kind: callflow.Opened, Link: l})
	}
}

func (s *script) step(l *callflow.Link, gateway bool, name string, k map[string]string) {
	st := &callflow.Step{ByGateway: gateway, Name: name, Version: k["version"], Suite: k["suite"], Group: k["group"],
		ServerName: k["sni"], Note: k["note"], Encrypted: k["enc"] != ""}
	st.Number, _ = strconv.Atoi(k["n"])
	if v := k["offered"]; v != "" {
		st.Offered = strings.Split(v, ",")
	}
	if v := k["cert"]; v != "" {
		st.Certificate = &callflow.Certificate{Subject: v, Issuer: k["issuer"], SelfSigned: k["issuer"] == "",
			Names: []string{strings.TrimPrefix(v, "CN=")}}
	}
	if code, name, ok := strings.Cut(k["alert"], ":"); ok {
		st.Alert = callflow.Alert{Fatal: true, Name: name}
		st.Alert.Code, _ = strconv.Atoi(code)
	}
	s.add(callflow.Event{Kind: callflow.HandshakeStep, Link: l, Step: st})
}

// full plays all steps; who is client follows from the link.
func (s *script) full(l *callflow.Link, which string) {
	steps := []string{"c ClientHello", "s ServerHello", "s EncryptedExtensions", "s CertificateRequest", "s Certificate",
		"s CertificateVerify", "s Finished", "c Certificate", "c CertificateVerify", "c Finished"}
	if which == "full12" {
		steps = []string{"c ClientHello", "s ServerHello", "s Certificate", "s ServerKeyExchange", "s CertificateRequest",
			"s ServerHelloDone", "c Certificate", "c ClientKeyExchange", "c CertificateVerify", "c ChangeCipherSpec",
			"c Finished", "s ChangeCipherSpec", "s Finished"}
	}
	last := ""
	for i, step := range steps {
		side, name, _ := strings.Cut(step, " ")
		if side != last {
			s.now = s.now.Add(400 * time.Microsecond)
		}
		last = side
		k := map[string]string{}
		if which == "full12" {
			k["n"] = strconv.Itoa(i + 1)
			if name == "Finished" {
				k["enc"] = "yes"
			}
		}
		if name == "Certificate" {
			k["cert"], k["issuer"] = "CN="+map[string]string{"c": "client", "s": "server"}[side]+".example.test", "CN=Lab Root"
		}
		if name == "ClientHello" {
			k["offered"], k["sni"] = "1.3,1.2", "gw.example.test"
		}
		if name == "ServerHello" {
			k["suite"], k["group"] = "TLS_AES_256_GCM_SHA384", "X25519"
		}
		s.step(l, (side == "s") == l.Inbound, name, k)
	}
}

func (s *script) agree(l *callflow.Link, w []string, k map[string]string) {
	all := strings.Join(w, " ")
	if k["peer"] != "" {
		l.Peer = k["peer"]
	}
	l.TLS = &callflow.TLS{Version: k["version"], Suite: k["suite"], Group: k["group"],
		Mutual: strings.Contains(all, "mutual"), Resumed: strings.Contains(all, "resumed")}
	if v := k["names"]; v != "" {
		l.TLS.PeerNames = strings.Split(v, ",")
	} else if l.TLS.Mutual && l.Peer != "" {
		l.TLS.PeerNames = []string{l.Peer + ".example"}
	}
}

func (s *script) record(verb string, w []string, k map[string]string) {
	number, _ := strconv.ParseUint(w[0], 10, 64)
	c := &callflow.Call{Number: number, CallID: k["call"], Peer: k["peer"]}
	if len(w) > 1 {
		c.Direction = map[string]callflow.Direction{"in": callflow.In, "out": callflow.Out}[w[1]]
	}
	c.Connection, _ = strconv.ParseUint(k["conn"], 10, 64)
	c.Nth, _ = strconv.Atoi(k["nth"])
	c.Code, _ = strconv.Atoi(k["code"])
	kind := map[string]callflow.Kind{"leg": callflow.LegCreated, "route": callflow.RouteDecided,
		"fail": callflow.TargetFailed, "timeout": callflow.TimedOut, "note": callflow.Noted}[verb]
	s.add(callflow.Event{Kind: kind, Call: c, Reason: k["reason"]})
}

// sipMessage writes a whole message of a few words: "INVITE", or "180" with the method of its CSeq.
func sipMessage(w []string, k map[string]string) []byte {
	get := func(key, otherwise string) string {
		if v := k[key]; v != "" {
			return v
		}
		return otherwise
	}
	method := get("method", "INVITE")
	line := "SIP/2.0 " + w[0] + " " + get("reason", map[string]string{"100": "Trying", "180": "Ringing", "200": "OK",
		"486": "Busy Here", "487": "Request Terminated", "503": "Service Unavailable"}[w[0]])
	if _, err := strconv.Atoi(w[0]); err != nil {
		method = w[0]
		line = method + " sip:" + get("to", "bob@b.test") + " SIP/2.0"
	}
	to := "<sip:" + get("to", "bob@b.test") + ">"
	if k["totag"] != "" {
		to += ";tag=" + k["totag"]
	}
	body, kind := "", ""
	if strings.Contains(strings.Join(w, " "), "sdp") {
		body, kind = "v=0\r\n", "Content-Type: application/sdp\r\n"
	}
	return fmt.Appendf(nil, "%s\r\nVia: SIP/2.0/TLS h.test;branch=z9hG4bK%s\r\nFrom: <sip:%s>;tag=f\r\nTo: %s\r\n"+
		"Call-ID: %s\r\nCSeq: %s %s\r\n%sContent-Length: %d\r\n\r\n%s",
		line, get("branch", k["call"]+method), get("from", "alice@a.test"), to, k["call"], get("cseq", "1"), method, kind, len(body), body)
}
