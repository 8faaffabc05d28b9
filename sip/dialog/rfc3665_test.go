package dialog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
)

// The states that the flows of RFC 3665 show, at both ends of the hop that a
// message takes, once it has gone over: 0 where no dialog is. Every message is in
// one of the runs.
var flows = []struct {
	section     string
	first, last int
	state       State
}{
	{"2.1: REGISTER makes no dialog", 1, 4, 0}, {"2.2", 5, 6, 0}, {"2.3", 7, 8, 0}, {"2.4", 9, 10, 0}, {"2.5", 11, 14, 0},
	{"3.1: without a proxy", 15, 15, 0}, {"3.1: 180", 16, 16, Early}, {"3.1: 200", 17, 18, Confirmed}, {"3.1: BYE", 19, 20, Terminated},
	{"3.2: a challenge, then 100", 21, 28, 0}, {"3.2: 180", 29, 31, Early}, {"3.2: 200", 32, 37, Confirmed}, {"3.2: BYE", 38, 43, Terminated},
	{"3.3: two challenges", 44, 58, 0}, {"3.3: 200", 59, 64, Confirmed},
	{"3.4: the first proxy fails", 65, 71, 0}, {"3.4: 180", 72, 73, Early}, {"3.4: 200", 74, 77, Confirmed}, {"3.4: BYE", 78, 81, Terminated},
	{"3.5: by an ALG", 82, 86, 0}, {"3.5: 180", 87, 89, Early}, {"3.5: 200", 90, 94, Confirmed}, {"3.5: BYE", 95, 98, Terminated},
	{"3.6: redirected, an offer in the 200", 99, 104, 0}, {"3.6: 180", 105, 106, Early}, {"3.6: 200", 107, 110, Confirmed}, {"3.6: BYE", 111, 114, Terminated},
	{"3.7", 115, 117, 0}, {"3.7: 180", 118, 119, Early}, {"3.7: 200, and a second INVITE", 120, 125, Confirmed}, {"3.7: BYE", 126, 127, Terminated},
	{"3.8", 128, 132, 0}, {"3.8: 180, and a CANCEL until it has its effect", 133, 141, Early}, {"3.8: 487", 142, 147, Terminated},
	{"3.9: busy", 148, 155, 0},
	{"3.10: no answer at all", 156, 164, 0},
	{"3.11", 165, 169, 0}, {"3.11: 180", 170, 172, Early}, {"3.11: 480", 173, 178, Terminated},
}

// TestFlowsOfRFC3665 plays all 178 messages at every hop that they take: who sends
// an INVITE has the dialog of a client, who gets it that of a server.
func TestFlowsOfRFC3665(t *testing.T) {
	files, err := filepath.Glob("../testdata/rfc3665/*.sip")
	if err != nil || len(files) != 178 {
		t.Fatalf("%d files, %v; want 178", len(files), err)
	}
	next := 1
	var f *flow
	for _, run := range flows {
		if run.first != next {
			t.Fatalf("%s begins at %d, want %d", run.section, run.first, next)
		}
		if next = run.last + 1; f == nil || run.state == 0 {
			f = &flow{nodes: map[string][]*Dialog{}, hops: map[string]*hop{}, seqs: map[string]uint32{}, outbound: outbound[run.first]}
		}
		for n := run.first; n <= run.last; n++ {
			t.Run(fmt.Sprintf("%03d, %s", n, run.section), func(t *testing.T) {
				raw, err := os.ReadFile(files[n-1])
				if err != nil {
					t.Fatal(err)
				}
				m, _ := sip.Parse(raw) // the headers of 129 and 148 can be read too
				t.Cleanup(m.Release)
				for end, d := range f.play(t, m.Clone()) {
					if got := stateOf(d); got != run.state {
						t.Errorf("dialog at end %d: %v, want %v", end, got, run.state)
					}
				}
			})
		}
	}
	if next != 179 {
		t.Errorf("%d messages were played, want 178", next-1)
	}
}

func stateOf(d *Dialog) State {
	if d == nil {
		return 0
	}
	return d.State
}

// flow is one section: its hosts with the dialogs that they have, its hops, and
// the last CSeq of REGISTER by Call-ID.
type flow struct {
	nodes map[string][]*Dialog
	hops  map[string]*hop // by the Via and CSeq method of a request
	seqs  map[string]uint32

	outbound string // see there
}

// hop is one request from one host to the next.
type hop struct {
	from, to string
	req      *sip.Message
	client   *UAC
	dialogs  [2]*Dialog // the client's and the server's
}

// play takes one message over its hop and returns the dialogs at both ends.
func (f *flow) play(t *testing.T, m *sip.Message) [2]*Dialog {
	t.Helper()
	if !m.IsRequest() {
		return f.response(t, m)
	}
	h := &hop{from: host(t, viaOf(t, m).Host), to: f.nextHost(t, m), req: m}
	method := m.Method()
	if method == sip.ACK || method == sip.CANCEL {
		// Both may repeat the Via of an INVITE; an ACK to a 2xx has one of its own.
		if invite := f.hops[key(m, sip.INVITE)]; invite != nil {
			if a, b := seqOf(t, m), seqOf(t, invite.req); a != b {
				t.Errorf("CSeq %d, that of the INVITE is %d", a, b)
			}
			f.hops[key(m, method)] = invite
			return invite.dialogs
		}
		if method == sip.CANCEL {
			t.Fatal("no INVITE has this Via")
		}
	}
	f.hops[key(m, method)] = h
	to, _ := m.To()
	switch {
	case method == sip.REGISTER:
		if seq := f.seqs[string(m.CallID())]; seqOf(t, m) <= seq {
			t.Errorf("CSeq %d after %d", seqOf(t, m), seq)
		}
		f.seqs[string(m.CallID())] = seqOf(t, m)
		if to.Tag() != nil {
			t.Error("a REGISTER with a To tag")
		}
	case to.Tag() == nil:
		var err error
		if h.client, err = NewUAC(m, false); err != nil {
			t.Fatal(err)
		}
	default:
		f.inDialog(t, h, m)
	}
	return h.dialogs
}

// inDialog takes a request to both ends of its dialog.
func (f *flow) inDialog(t *testing.T, h *hop, m *sip.Message) {
	t.Helper()
	from, _ := m.From()
	to, _ := m.To()
	for _, d := range f.nodes[h.from] {
		if d.ID == (ID{string(m.CallID()), string(from.Tag()), string(to.Tag())}) {
			h.dialogs[0] = d
		}
	}
	for _, d := range f.nodes[h.to] {
		if d.Owns(m) {
			h.dialogs[1] = d
		}
	}
	mine, theirs := h.dialogs[0], h.dialogs[1]
	if mine == nil || theirs == nil {
		t.Fatalf("%s from %s to %s is in no dialog", m.Method(), h.from, h.to)
	}
	if err := theirs.Receive(m); err != nil {
		t.Error(err)
	}
	uri, routes := mine.Route()
	// The RFC leaves the transport of the Contact out in these.
	if strings.TrimSuffix(uri, ";transport=tcp") != string(m.RequestURI()) {
		t.Errorf("the dialog's requests go to %s, this one to %s", uri, m.RequestURI())
	}
	if !m.Several(sip.HdrVia) { // further on proxies have taken their own Route away
		var got []string
		for v := range m.Values(sip.HdrRoute) {
			got = append(got, string(v))
		}
		if !slices.Equal(got, routes) {
			t.Errorf("Route %q, the dialog's is %q", got, routes)
		}
	}
	if m.Method() == sip.BYE {
		mine.Terminate()
		theirs.Terminate()
	}
}

// response takes a response back over the hop of its request.
func (f *flow) response(t *testing.T, m *sip.Message) [2]*Dialog {
	t.Helper()
	h := f.hops[key(m, m.Method())]
	if h == nil {
		t.Fatalf("a response to nothing: %s", key(m, m.Method()))
	}
	code := m.StatusCode()
	switch {
	case m.Method() == sip.REGISTER:
		if seqOf(t, m) != f.seqs[string(m.CallID())] || code == 401 && !m.Has(sip.HdrWWWAuthenticate) {
			t.Errorf("CSeq %d, or no challenge", seqOf(t, m))
		}
	case m.Method() == sip.INVITE && h.client == nil: // a second one of the dialog
		if code/100 == 2 {
			if err := h.dialogs[1].Refresh(h.req); err != nil {
				t.Error(err)
			}
			if err := h.dialogs[0].Refresh(m); err != nil {
				t.Error(err)
			}
		}
	case m.Method() == sip.INVITE:
		f.answered(t, h, m)
	}
	return h.dialogs
}

// answered takes the response to a first INVITE.
func (f *flow) answered(t *testing.T, h *hop, m *sip.Message) {
	t.Helper()
	d, created, err := h.client.Response(m)
	if err != nil {
		t.Fatal(err)
	}
	if server := h.dialogs[1]; m.StatusCode() >= 300 {
		if server != nil {
			server.Terminate()
		}
		return
	}
	if created {
		server, err := NewUAS(h.req, d.ID.RemoteTag, false)
		if err != nil {
			t.Fatal(err)
		}
		h.dialogs = [2]*Dialog{d, server}
		f.nodes[h.from] = append(f.nodes[h.from], d)
		f.nodes[h.to] = append(f.nodes[h.to], server)
	}
	if m.StatusCode()/100 == 2 {
		h.dialogs[1].Confirm()
	}
}

func seqOf(t *testing.T, m *sip.Message) uint32 {
	t.Helper()
	c, err := m.CSeq()
	if err != nil {
		t.Fatal(err)
	}
	return c.Seq
}

func viaOf(t *testing.T, m *sip.Message) sip.Via {
	t.Helper()
	v, err := m.Via()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// key is what a response has of its request.
func key(m *sip.Message, method sip.Method) string {
	v, _ := m.Via()
	c, _ := m.CSeq()
	return fmt.Sprintf("%s %s %s %d %s", m.CallID(), v.Host, v.Branch(), c.Seq, method)
}

// domains are served by these proxies; Bob is at one host under two names.
var domains = map[string]string{
	"atlanta.example.com":        "ss1.atlanta.example.com",
	"biloxi.example.com":         "ss2.biloxi.example.com",
	"chicago.example.com":        "ss3.chicago.example.com",
	"client.chicago.example.com": bob,
}

const (
	alice = "client.atlanta.example.com"
	bob   = "client.biloxi.example.com"
)

// outbound is where Alice sends a first request without a Route, by the number of
// the message that her section begins with, when that is not the domain's proxy.
var outbound = map[int]string{15: bob, 44: "ss1.atlanta.example.com"}

// host is the machine of a name.
func host(t *testing.T, name []byte) string {
	t.Helper()
	if len(name) == 0 {
		t.Fatal("no host")
	}
	if at := domains[string(name)]; at != "" {
		return at
	}
	return string(name)
}

// nextHost is where a request goes: to its first Route or its Request-URI.
func (f *flow) nextHost(t *testing.T, m *sip.Message) string {
	t.Helper()
	uri := m.RequestURI()
	if to, _ := m.To(); f.outbound != "" && to.Tag() == nil && !m.Has(sip.HdrRoute) && host(t, viaOf(t, m).Host) == alice {
		return f.outbound
	}
	for v := range m.Values(sip.HdrRoute) {
		a, err := sip.ParseAddress(v)
		if err != nil {
			t.Fatal(err)
		}
		uri = a.RawURI
		break
	}
	u, err := sip.ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	return host(t, u.Host)
}
