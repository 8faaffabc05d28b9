package interop

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	theirs "github.com/emiago/sipgo/sip"

	ours "github.com/sallyport-sip/sallyport/sip"
)

// facts are what two parsers must agree on.
type facts struct {
	Request           bool
	Method            string // of the request line, or of a response's CSeq
	URI               string // of the request line, without what sipgo writes in another way
	Status            int
	CallID            string
	Seq               uint32
	SeqMethod         string
	Branch            string
	ViaTransport      string
	ViaHost           string // without brackets
	ViaPort           int
	FromTag, ToTag    string
	FromUser, ToUser  string
	ContentType, Body string
	MaxForwards       int // of a request; -1: none
	Fields            int // header fields; a line of values with commas counts once
}

// oneLine makes one space of each run of them, and of folds.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func ourFacts(b []byte) (f facts, err error) {
	m, err := ours.Parse(b)
	if err != nil {
		return f, err
	}
	defer m.Release()
	if err := m.Check(); err != nil {
		return f, err
	}
	via, err := m.Via()
	if err != nil {
		return f, err
	}
	from, err := m.From()
	if err != nil {
		return f, err
	}
	to, err := m.To()
	if err != nil {
		return f, err
	}
	seq, err := m.CSeq()
	if err != nil {
		return f, err
	}
	fromURI, err := from.URI()
	if err != nil {
		return f, err
	}
	toURI, err := to.URI()
	if err != nil {
		return f, err
	}
	forwards, ok := m.MaxForwards()
	if !ok || !m.IsRequest() {
		forwards = -1
	}
	fields := 0
	for range m.Fields() {
		fields++
	}
	return facts{
		URI: string(m.RequestURI()), Fields: fields,
		Request: m.IsRequest(), Method: string(m.Method()), Status: m.StatusCode(), CallID: string(m.CallID()),
		Seq: seq.Seq, SeqMethod: string(seq.Method), Branch: string(via.Branch()), ViaTransport: string(via.Transport), ViaHost: strings.Trim(string(via.Host), "[]"), ViaPort: int(via.Port),
		FromTag: string(from.Tag()), ToTag: string(to.Tag()), FromUser: string(fromURI.User), ToUser: string(toURI.User),
		ContentType: oneLine(string(m.First(ours.HdrContentType))), Body: string(m.Body()), MaxForwards: forwards,
	}, nil
}

func theirFacts(b []byte) (f facts, err error) {
	m, err := theirs.ParseMessage(b)
	if err != nil {
		return f, err
	}
	via, from, to, seq, id := m.Via(), m.From(), m.To(), m.CSeq(), m.CallID()
	if via == nil || from == nil || to == nil || seq == nil || id == nil {
		return f, fmt.Errorf("a mandatory header is missing: Via %v, From %v, To %v, CSeq %v, Call-ID %v", via, from, to, seq, id)
	}
	f = facts{
		Method: string(seq.MethodName), CallID: id.Value(), Seq: seq.SeqNo, SeqMethod: string(seq.MethodName),
		ViaTransport: via.Transport, ViaHost: via.Host, ViaPort: via.Port, FromUser: from.Address.User, ToUser: to.Address.User,
		Body: string(m.Body()), MaxForwards: -1,
	}
	f.Branch, _ = via.Params.Get("branch")
	f.FromTag, _ = from.Params.Get("tag")
	f.ToTag, _ = to.Params.Get("tag")
	switch m := m.(type) {
	case *theirs.Request:
		f.Request, f.Method, f.URI, f.Fields = true, string(m.Method), m.Recipient.String(), len(m.Headers())
		if h := m.MaxForwards(); h != nil {
			f.MaxForwards = int(h.Val())
		}
		if h := m.ContentType(); h != nil {
			f.ContentType = oneLine(h.Value())
		}
	case *theirs.Response:
		f.Status, f.Fields = m.StatusCode, len(m.Headers())
		if h := m.ContentType(); h != nil {
			f.ContentType = oneLine(h.Value())
		}
	}
	return f, nil
}

func TestBothParsersFindTheSameFacts(t *testing.T) {
	all := map[string][]byte{"INVITE": invite}
	maps.Copy(all, others)
	for name, b := range all {
		t.Run(name, func(t *testing.T) {
			mine, err := ourFacts(b)
			if err != nil {
				t.Fatalf("ours: %v", err)
			}
			other, err := theirFacts(b)
			if err != nil {
				t.Fatalf("sipgo: %v", err)
			}
			if mine != other {
				t.Errorf("ours  %+v\nsipgo %+v", mine, other)
			}
		})
	}
}

// The facts of one message are written down, so that two parsers that are wrong in the same way are found out.
func TestFactsOfTheInvite(t *testing.T) {
	got, err := ourFacts(invite)
	if err != nil {
		t.Fatal(err)
	}
	got.Body = got.Body[:3]
	want := facts{
		Request: true, Method: "INVITE", CallID: "a84b4c76e66710b7a1d0@pbx.example.com", Seq: 314159, SeqMethod: "INVITE",
		URI: "sip:+4930123456@gw.example.com;user=phone", Fields: 14,
		Branch: "z9hG4bK776asdhds", ViaTransport: "TLS", ViaHost: "192.0.2.4", ViaPort: 5061, FromTag: "1928301774", FromUser: "+4940111222",
		ToUser: "+4930123456", ContentType: "application/sdp", Body: "v=0", MaxForwards: 70,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// sipgo 1.7.2 loses what follows a fold before a Via parameter (RFC 3261 §7.3.1, §25.1 SEMI). Ours must not; when theirs no
// longer does, the message belongs with the others.
func TestFoldBeforeViaParameter(t *testing.T) {
	folded := wire(`OPTIONS sip:b@example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5060
 ;branch=z9hG4bKfold
Max-Forwards: 70
From: <sip:a@example.com>;tag=1
To: <sip:b@example.com>
Call-ID: fold
CSeq: 1 OPTIONS
Content-Length: 0

`)
	mine, err := ourFacts(folded)
	if err != nil {
		t.Fatal(err)
	}
	if mine.Branch != "z9hG4bKfold" || mine.ViaPort != 5060 {
		t.Errorf("branch %q, port %d; want z9hG4bKfold, 5060", mine.Branch, mine.ViaPort)
	}
	other, err := theirFacts(folded)
	if err != nil {
		t.Fatal(err)
	}
	if other == mine {
		t.Error("sipgo agrees by now: move this message to the others")
	}
}
