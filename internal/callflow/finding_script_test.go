package callflow

import (
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A play is the input of a check's test: a call of office over hop A by the gateway to trunk over hop B, as lines of
// "<ms> <verb> <words> <key=value>…". The first line may set how the hops are: "a=udp b=tls". The verbs:
//
//	A> A< B> B<   a message on a hop: > rightwards, < leftwards, so that A> comes from office and B< from trunk
//	setup         a whole call until both ACKs; "B<200.sdp=…" sets a key of one of its messages
//	hangup A      a BYE from that side with all that follows
//	repeat        the last message again, n= times, every= ms
//	tls A         a handshake on that hop, before the messages: notafter, notbefore, names, took; refused=reason
//	closed A      the connection ends
//	note, timeout, fail, security   what the gateway says
//
// The keys of a message: contact, from, to, fromtag, totag, via, branch, cseq, method, uri, rr, route, remote, sdp, length,
// and h="Name: value|Name: value". An sdp has its lines between bars, those of its session are added.
type play struct {
	t      *testing.T
	start  time.Time
	now    time.Time
	events []Event
	links  map[byte]*Link
	last   Event
	number uint64
}

var playHosts = map[byte]netip.Addr{
	'A': netip.MustParseAddr("198.51.100.7"), 'B': netip.MustParseAddr("203.0.113.9"), 'C': netip.MustParseAddr("203.0.113.77"),
}

var playPeers = map[byte]string{'A': "office", 'B': "trunk", 'C': "backup"}

const playGateway = "192.0.2.1"

func parsePlay(t *testing.T, text string) []Event {
	t.Helper()
	p := &play{t: t, start: time.Date(2026, 3, 1, 20, 5, 23, 0, time.UTC), links: map[byte]*Link{}, number: 7}
	hops := map[string]string{"a": "udp", "b": "udp", "c": "udp"}
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words, keys := playWords(line)
		if len(words) == 0 {
			maps.Copy(hops, keys)
			continue
		}
		ms, err := strconv.ParseFloat(words[0], 64)
		if err != nil || len(words) < 2 {
			t.Fatalf("line %d: %q: %v", n+1, line, err)
		}
		for hop, transport := range hops {
			p.link(strings.ToUpper(hop)[0], transport)
		}
		p.now = p.start.Add(time.Duration(ms * float64(time.Millisecond)))
		p.run(words[1], words[2:], keys)
	}
	return p.events
}

func playWords(line string) (words []string, keys map[string]string) {
	keys = map[string]string{}
	quoted := false
	for _, w := range strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	}) {
		if k, v, ok := strings.Cut(w, "="); ok {
			keys[k] = strings.Trim(v, `"`)
		} else {
			words = append(words, w)
		}
	}
	return words, keys
}

// link makes the connection of a hop before its first event.
func (p *play) link(hop byte, transport string) {
	if p.links[hop] != nil {
		return
	}
	l := &Link{ID: uint64(hop-'A') + 1, Inbound: hop == 'A', Transport: transport, Peer: playPeers[hop], Opened: p.start}
	l.Local = netip.MustParseAddrPort(playGateway + ":5060")
	if transport != "udp" {
		l.Remote = netip.AddrPortFrom(playHosts[hop], 5060)
	}
	if transport == "tls" {
		l.Local = netip.MustParseAddrPort(playGateway + ":5061")
		l.TLS = &TLS{Version: "1.3", Suite: "TLS_AES_128_GCM_SHA256", Group: "X25519", Mutual: true, PeerNames: []string{l.Peer + ".example"}}
	}
	p.links[hop] = l
}

func (p *play) add(e Event) {
	e.Seq, e.At = uint64(len(p.events)+1), p.now
	p.events = append(p.events, e)
	p.last = e
}

func (p *play) run(verb string, w []string, k map[string]string) {
	switch verb {
	case "A>", "A<", "B>", "B<", "C>", "C<":
		p.message(verb[0], verb[1] == '>', w, k)
	case "setup":
		p.setup(k)
	case "hangup":
		p.hangUp(w[0][0], k)
	case "repeat":
		p.again(k)
	case "tls":
		p.handshake(w[0][0], k)
	case "closed":
		p.add(Event{Kind: Closed, Link: p.links[w[0][0]], Reason: k["reason"], Notify: Notify{Known: p.links[w[0][0]].TLS != nil, Sent: k["notify"] == "both", Received: k["notify"] == "both"}})
	case "note", "timeout", "fail", "leg":
		kind := map[string]Kind{"note": Noted, "timeout": TimedOut, "fail": TargetFailed, "leg": LegCreated}[verb]
		c := p.call(w[0][0])
		c.Code, _ = strconv.Atoi(k["code"])
		if k["conn"] == "" {
			c.Connection = 0
		}
		p.add(Event{Kind: kind, Call: c, Reason: k["reason"]})
	case "security":
		p.add(Event{Kind: Assessed, Call: &Call{Number: p.number, Security: &Security{Word: k["word"], Why: k["why"], Claims: strings.Split(k["claims"], "|")}}})
	default:
		p.t.Fatalf("unknown verb %q", verb)
	}
}

func (p *play) call(hop byte) *Call {
	c := &Call{Number: p.number, Direction: Out, CallID: strings.ToLower(string(hop)) + "1", Peer: playPeers[hop], Connection: p.links[hop].ID}
	if hop == 'A' {
		c.Direction = In
	}
	return c
}

// message adds one, and before the first of a hop the record of its leg.
func (p *play) message(hop byte, right bool, w []string, k map[string]string) {
	in := right == (hop == 'A')
	if !p.recorded(hop) && (in || hop != 'A') {
		defer p.recordAfter(hop, in)()
	}
	remote := netip.AddrPortFrom(playHosts[hop], 5060)
	if k["remote"] != "" {
		remote = netip.MustParseAddrPort(k["remote"])
	}
	link := p.links[hop]
	if k["link"] == "other" {
		other := *link
		other.ID += 100
		link = &other
	}
	p.add(Event{Kind: Message, Link: link, Out: !in, Remote: remote, Raw: playMessage(hop, in, w, k, p.now)})
}

func (p *play) recorded(hop byte) bool {
	for _, e := range p.events {
		if e.Kind == LegCreated && e.Call.Peer == playPeers[hop] {
			return true
		}
	}
	return false
}

// recordAfter records the leg: that of an INVITE that came in is made after it, that of one that goes out before.
func (p *play) recordAfter(hop byte, in bool) func() {
	record := func() { p.add(Event{Kind: LegCreated, Call: p.call(hop), Reason: "test"}) }
	if in {
		return func() { last := p.last; record(); p.last = last }
	}
	record()
	return func() {}
}

// setup is a call until both ACKs.
func (p *play) setup(k map[string]string) {
	begin := p.now
	for i, step := range []string{"A>INVITE", "A<100", "B>INVITE", "B<180", "A<180", "B<200", "A<200", "A>ACK", "B>ACK"} {
		keys := map[string]string{}
		from := map[string]string{"B>INVITE": "A>INVITE", "A<200": "B<200"}[step] // whose description crosses
		if from != "" && k[from+".sdp"] != "" {
			keys["sdp"] = k[from+".sdp"]
		}
		for key, v := range k {
			if name, found := strings.CutPrefix(key, step+"."); found {
				keys[name] = v
			}
		}
		if keys["omit"] != "" {
			continue
		}
		verb, what := step[:2], step[2:]
		words := []string{what}
		if what == "INVITE" || what == "200" {
			words = append(words, "sdp")
		}
		p.now = begin.Add(time.Duration(i) * 10 * time.Millisecond)
		p.message(verb[0], verb[1] == '>', words, keys)
	}
}

func (p *play) hangUp(from byte, k map[string]string) {
	to, there, back := byte('B'), ">", "<"
	if from == 'B' {
		to, there, back = 'A', "<", ">"
	}
	keys := func() map[string]string { return map[string]string{"cseq": "9", "method": "BYE"} }
	bye := keys()
	maps.Copy(bye, k)
	p.message(from, there == ">", []string{"BYE"}, bye)
	p.message(from, back == ">", []string{"200"}, keys())
	p.message(to, there == ">", []string{"BYE"}, keys())
	p.message(to, back == ">", []string{"200"}, keys())
}

func (p *play) again(k map[string]string) {
	n, _ := strconv.Atoi(k["n"])
	every, _ := strconv.ParseFloat(k["every"], 64)
	last := p.last
	for i := range n {
		if i > 0 {
			p.now = p.now.Add(time.Duration(every * float64(time.Millisecond)))
		}
		p.add(last)
	}
}

// handshake is one of TLS 1.3 with what the checks look at.
func (p *play) handshake(hop byte, k map[string]string) {
	l := p.links[hop]
	p.add(Event{Kind: Opened, Link: l})
	c := &Certificate{Subject: "CN=" + l.Peer + ".example", Issuer: "CN=Lab Root", Names: []string{l.Peer + ".example"},
		NotBefore: p.start.Add(-1000 * time.Hour), NotAfter: p.start.Add(2000 * time.Hour)}
	if v, ok := k["names"]; ok {
		c.Names = strings.Fields(v)
	}
	for key, at := range map[string]*time.Time{"notafter": &c.NotAfter, "notbefore": &c.NotBefore} {
		if d, err := time.ParseDuration(k[key]); err == nil {
			*at = p.start.Add(d)
		}
	}
	if k["suite"] != "" {
		l.TLS.Version, l.TLS.Suite = "1.2", k["suite"]
	}
	if k["peernames"] == "none" {
		l.TLS.PeerNames = nil
	}
	p.add(Event{Kind: HandshakeStep, Link: l, Step: &Step{Name: "Certificate", Certificate: c, ByGateway: k["by"] == "gateway"}})
	if ms, err := strconv.Atoi(k["took"]); err == nil {
		p.now = p.now.Add(time.Duration(ms) * time.Millisecond)
	}
	if why := k["refused"]; why != "" {
		l.TLS = &TLS{Version: "1.3"}
		p.add(Event{Kind: HandshakeStep, Link: l, Step: &Step{ByGateway: true, Name: NameAlert, Alert: Alert{Fatal: true, Code: 42, Name: "bad_certificate"}}})
		p.add(Event{Kind: Judged, Link: l, Verdict: &Verdict{ByGateway: true, KnownBy: OwnDecision, Reason: why, Remedy: "renew it"}})
		p.add(Event{Kind: Refused, Link: l, Reason: why})
		return
	}
	for _, gateway := range []bool{true, false} {
		p.add(Event{Kind: Judged, Link: l, Verdict: &Verdict{ByGateway: gateway, Accepted: true, KnownBy: OwnDecision}})
	}
	p.add(Event{Kind: Ready, Link: l})
}

// playMessage writes a message as a good peer or the gateway would, but for its keys.
func playMessage(hop byte, in bool, w []string, k map[string]string, now time.Time) []byte {
	get := func(key, otherwise string) string {
		if v, ok := k[key]; ok {
			return v
		}
		return otherwise
	}
	peer, callID := playHosts[hop].String(), strings.ToLower(string(hop))+"1"
	method, request := get("method", "INVITE"), false
	if _, err := strconv.Atoi(w[0]); err != nil {
		method, request = w[0], true
	}
	// Who asked: a request comes from its sender, a response goes back to the other.
	asker, asked := peer, playGateway
	if in != request {
		asker, asked = playGateway, peer
	}
	begun, other := "office", "trunk" // From and To of the leg's INVITE
	if backwards := (hop == 'A') != (asker == peer); backwards {
		begun, other = other, begun
	}
	fromTag, toTag := "f"+callID, "t"+callID
	if begun != "office" {
		fromTag, toTag = toTag, fromTag
	}
	if w[0] == "INVITE" && k["totag"] == "" || w[0] == "100" || w[0] == "CANCEL" || method == "OPTIONS" && request {
		toTag = ""
	}
	to := "<" + get("to", "sip:"+other+"@"+asked) + ">"
	if toTag = get("totag", toTag); toTag != "" {
		to += ";tag=" + toTag
	}
	line := method + " " + get("uri", "sip:"+asked+":5060") + " SIP/2.0"
	if !request {
		line = "SIP/2.0 " + w[0] + " " + get("reason", "Because")
	}
	var b strings.Builder
	header := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	transport := get("transport", "UDP")
	cseq := get("cseq", "1")
	b.WriteString(line + "\r\n")
	header("Via", get("via", fmt.Sprintf("SIP/2.0/%s %s:5060;rport;branch=%s", transport, asker, get("branch", "z9hG4bK"+callID+method+cseq))))
	header("Max-Forwards", get("hops", "70"))
	header("From", "<"+get("from", "sip:"+begun+"@"+asker)+">;tag="+get("fromtag", fromTag))
	header("To", to)
	header("Call-ID", callID)
	header("CSeq", cseq+" "+method)
	contact := ""
	if method == "INVITE" && w[0] != "100" {
		contact = "<sip:" + map[bool]string{true: peer, false: playGateway}[in] + ":5060>"
	}
	header("Contact", get("contact", contact))
	header("Record-Route", k["rr"])
	header("Route", k["route"])
	for h := range strings.SplitSeq(k["h"], "|") {
		name, value, _ := strings.Cut(strings.ReplaceAll(h, "'", `"`), ": ")
		header(name, value)
	}
	body := playSDP(hop, in, w, k)
	if body != "" {
		header("Content-Type", "application/sdp")
	}
	header("Content-Length", get("length", strconv.Itoa(len(body))))
	return []byte(b.String() + "\r\n" + body)
}

func playSDP(hop byte, in bool, w []string, k map[string]string) string {
	sdp, given := k["sdp"]
	if !given && strings.Join(w[1:], "") != "sdp" || sdp == "none" {
		return ""
	}
	host := playHosts['A'].String()
	if answers := w[0] == "200" || w[0] == "183"; answers {
		host = playHosts['B'].String()
	}
	if !given {
		sdp = "m=audio 40000 RTP/AVP 8 0 101|a=rtpmap:101 telephone-event/8000"
	}
	if !strings.Contains(sdp, "c=") {
		sdp = "c=IN IP4 " + host + "|" + sdp
	}
	if !strings.Contains(sdp, "o=") {
		sdp = "o=- 1 1 IN IP4 " + host + "|" + sdp
	}
	return "v=0\r\n" + strings.ReplaceAll(sdp, "|", "\r\n") + "\r\n"
}
