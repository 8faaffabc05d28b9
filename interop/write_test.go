package interop

import (
	"bytes"
	"strings"
	"testing"

	theirs "github.com/emiago/sipgo/sip"

	ours "github.com/sallyport-sip/sallyport/sip"
)

// The outgoing INVITE of a back-to-back user agent: its own dialog and hop, the rest of the headers and the body as
// they came.
const (
	outVia     = "SIP/2.0/TLS gw.example.com:5061;branch=z9hG4bK0a1b2c3d4e5f"
	outFrom    = `"Alice Example" <sip:+4940111222@gw.example.com>;tag=1a2b3c4d`
	outTo      = "<sip:+4930123456@carrier.example.net>"
	outCallID  = "0123456789abcdef0123"
	outContact = "<sip:gw.example.com:5061;transport=tls>"
)

var outURI = []byte("sip:+4930123456@carrier.example.net;transport=tls")

func writeOurs(w *ours.Builder, buf []byte, in *ours.Message) []byte {
	w.Reset(buf)
	w.Request(ours.INVITE, outURI)
	w.Header("Via", outVia)
	w.HeaderInt("Max-Forwards", 69)
	w.Header("From", outFrom)
	w.Header("To", outTo)
	w.Header("Call-ID", outCallID)
	w.CSeq(1, ours.INVITE)
	w.Header("Contact", outContact)
	for f := range in.Fields() {
		switch f.ID {
		case ours.HdrVia, ours.HdrMaxForwards, ours.HdrFrom, ours.HdrTo, ours.HdrCallID, ours.HdrCSeq, ours.HdrContact, ours.HdrContentLength:
		default:
			w.Field(f)
		}
	}
	return w.Finish(in.Body())
}

// buildTheirs makes sipgo's request of the same content.
func buildTheirs(in *theirs.Request) *theirs.Request {
	host := theirs.Uri{Scheme: "sip", User: "+4930123456", Host: "carrier.example.net"}
	target := host
	target.UriParams = theirs.HeaderParams{{K: "transport", V: "tls"}}
	out := theirs.NewRequest(theirs.INVITE, target)
	id := theirs.CallIDHeader(outCallID)
	forwards := theirs.MaxForwardsHeader(69)
	out.AppendHeader(&theirs.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: "TLS", Host: "gw.example.com", Port: 5061,
		Params: theirs.HeaderParams{{K: "branch", V: "z9hG4bK0a1b2c3d4e5f"}},
	})
	out.AppendHeader(&forwards)
	out.AppendHeader(&theirs.FromHeader{
		DisplayName: "Alice Example", Address: theirs.Uri{Scheme: "sip", User: "+4940111222", Host: "gw.example.com"},
		Params: theirs.HeaderParams{{K: "tag", V: "1a2b3c4d"}},
	})
	out.AppendHeader(&theirs.ToHeader{Address: host})
	out.AppendHeader(&id)
	out.AppendHeader(&theirs.CSeqHeader{SeqNo: 1, MethodName: theirs.INVITE})
	out.AppendHeader(&theirs.ContactHeader{Address: theirs.Uri{
		Scheme: "sip", Host: "gw.example.com", Port: 5061, UriParams: theirs.HeaderParams{{K: "transport", V: "tls"}},
	}})
	for _, h := range in.Headers() {
		switch h.Name() {
		case "Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "Content-Length":
		default:
			out.AppendHeader(h)
		}
	}
	out.SetBody(in.Body())
	return out
}

func TestBothWriteTheSameInvite(t *testing.T) {
	mine, other := outgoingPair(t)
	a, err := theirFacts(mine) // each stack's message is read by the other
	if err != nil {
		t.Fatalf("sipgo reads ours: %v", err)
	}
	b, err := ourFacts(other)
	if err != nil {
		t.Fatalf("we read sipgo's: %v", err)
	}
	if a != b {
		t.Errorf("ours  %+v\nsipgo %+v", a, b)
	}
	// Line by line they may differ in order alone.
	for line := range strings.Lines(string(other)) {
		if !bytes.Contains(mine, []byte(line)) {
			t.Errorf("ours lacks sipgo's line %q", line)
		}
	}
	if len(mine) != len(other) {
		t.Errorf("ours has %d bytes, sipgo's %d", len(mine), len(other))
	}
}

// outgoingPair writes the outgoing INVITE with both stacks.
func outgoingPair(t *testing.T) (mine, other []byte) {
	t.Helper()
	in, err := ours.Parse(invite)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Release()
	var w ours.Builder
	mine = writeOurs(&w, nil, in)
	their, err := theirs.ParseMessage(invite)
	if err != nil {
		t.Fatal(err)
	}
	return mine, []byte(buildTheirs(their.(*theirs.Request)).String())
}
