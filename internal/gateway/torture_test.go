package gateway

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// torture is one message of RFC 4475 or RFC 5118 and what the gateway is to make
// of it. The gateway is a server towards the peer that sends it, and what it
// takes crosses to another peer. It has no users: REGISTER is refused.
type torture struct {
	file    string // below sip/testdata
	about   string
	want    string // reaction over UDP
	stream  string // over TCP and TLS when it is another
	code    int    // what the callee answers, 200 when zero
	due     bool   // its registrar is not there yet
	differs string // the section that allows a reaction that expected.tsv has not
	header  string // what one of the responses has to hold
}

// The sections follow those of the RFCs.
var tortures = []torture{
	{file: "rfc4475/wsinv.dat", about: "an INVITE in every unusual form that the grammar has; its To tag is of no dialog here", want: "481", differs: "RFC 3261 §12.2.2"},
	{file: "rfc4475/intmeth.dat", about: "unusual characters wherever they are allowed, and a method of them", want: "501", header: "Allow: INVITE"},
	{file: "rfc4475/esc01.dat", about: "escapes that mean their character, and a user that looks like a URI", want: "crosses, 200"},
	{file: "rfc4475/escnull.dat", about: "escaped zeros in users", want: "405", due: true, header: "Allow: INVITE"},
	{file: "rfc4475/esc02.dat", about: "percent signs that escape nothing, in the method above all", want: "501", header: "Allow: INVITE"},
	{file: "rfc4475/lwsdisp.dat", about: "no space between a name and its bracket", want: "crosses, 200"},
	{file: "rfc4475/longreq.dat", about: "long values, 34 Vias", want: "crosses, 200"},
	{file: "rfc4475/dblreq.dat", about: "a second request behind the body: noise in a datagram, the next message of a stream (here without a Contact, and with bytes behind it that are none)",
		want: "405", stream: "400, 405, closed", due: true, header: "Allow: INVITE"},
	{file: "rfc4475/semiuri.dat", about: "a semicolon in the user", want: "crosses, 200"},
	{file: "rfc4475/transports.dat", about: "other and unknown transports in lower Vias", want: "crosses, 200"},
	{file: "rfc4475/mpart01.dat", about: "a binary part in a multipart body", want: "crosses, 200"},
	{file: "rfc4475/unreason.dat", about: "a reason that is not ASCII; here nobody asked", want: "silence"},
	{file: "rfc4475/noreason.dat", about: "no reason; here nobody asked", want: "silence"},
	{file: "rfc4475/badinv01.dat", about: "empty parameters in Via and Contact", want: "400"},
	{file: "rfc4475/clerr.dat", about: "a body shorter than Content-Length", want: "400", stream: "closed"},
	{file: "rfc4475/ncl.dat", about: "a negative Content-Length", want: "400", stream: "400, closed"},
	{file: "rfc4475/scalar02.dat", about: "numbers too large, in a request", want: "400"},
	{file: "rfc4475/scalarlg.dat", about: "numbers too large, in a response", want: "silence"},
	{file: "rfc4475/quotbal.dat", about: "quotes that do not close", want: "400"},
	{file: "rfc4475/ltgtruri.dat", about: "brackets around the Request-URI", want: "400"},
	{file: "rfc4475/lwsruri.dat", about: "a space in the Request-URI", want: "400"},
	{file: "rfc4475/lwsstart.dat", about: "more than one space in the Request-Line", want: "400"},
	{file: "rfc4475/trws.dat", about: "spaces behind the Request-Line", want: "400"},
	{file: "rfc4475/escruri.dat", about: "a header in the Request-URI", want: "400"},
	{file: "rfc4475/baddate.dat", about: "a Date of another zone than GMT", want: "crosses, 200"},
	{file: "rfc4475/regbadct.dat", about: "a Contact with a question mark and no brackets", want: "400"},
	{file: "rfc4475/badaspec.dat", about: "spaces inside the brackets of To", want: "400"},
	{file: "rfc4475/baddn.dat", about: "names that need quotes; the file lacks its empty line too", want: "400", stream: "closed"},
	{file: "rfc4475/badvers.dat", about: "version 7.0", want: "505"},
	{file: "rfc4475/mismatch01.dat", about: "another method in CSeq", want: "400"},
	{file: "rfc4475/mismatch02.dat", about: "another method in CSeq, that of the request unknown", want: "501"},
	{file: "rfc4475/bigcode.dat", about: "a status code of ten digits", want: "silence"},
	{file: "rfc4475/badbranch.dat", about: "a branch with nothing behind the cookie", want: "crosses, 200"},
	{file: "rfc4475/insuf.dat", about: "no Call-ID, From and To", want: "400"},
	{file: "rfc4475/unkscm.dat", about: "a Request-URI of an unknown scheme", want: "416"},
	{file: "rfc4475/novelsc.dat", about: "a Request-URI of another known scheme", want: "416"},
	{file: "rfc4475/unksm2.dat", about: "other schemes in From, To and Contact", want: "405", due: true, header: "Allow: INVITE"},
	{file: "rfc4475/bext01.dat", about: "Require and Proxy-Require of what nobody has", want: "420",
		header: "Unsupported: noProxiesSupportThis, norDoAnyProxiesSupportThis"},
	{file: "rfc4475/invut.dat", about: "a body of an unknown type, which crosses, and the callee refuses it", want: "crosses, 415", code: 415},
	{file: "rfc4475/regaut01.dat", about: "credentials of an unknown scheme", want: "405", due: true, header: "Allow: INVITE"},
	{file: "rfc4475/multi01.dat", about: "single headers twice", want: "400"},
	{file: "rfc4475/mcl01.dat", about: "two different Content-Lengths", want: "400", stream: "400, closed"},
	{file: "rfc4475/bcast.dat", about: "a response whose next Via is the broadcast address", want: "silence"},
	{file: "rfc4475/zeromf.dat", about: "Max-Forwards 0", want: "483"},
	{file: "rfc4475/cparam01.dat", about: "an unknown parameter of a Contact", want: "405", due: true, header: "Allow: INVITE"},
	{file: "rfc4475/cparam02.dat", about: "an unknown parameter of a Contact's URI", want: "405", due: true, header: "Allow: INVITE"},
	{file: "rfc4475/regescrt.dat", about: "a header in a Contact's URI", want: "405", due: true, header: "Allow: INVITE"},
	{file: "rfc4475/sdp01.dat", about: "an INVITE that takes no session description in return", want: "406", header: "Warning: 399 "},
	{file: "rfc4475/inv2543.dat", about: "an INVITE of RFC 2543: no branch, tag, Contact, Max-Forwards or Content-Length, which a stream needs",
		want: "crosses, 200", stream: "400, closed"},

	{file: "rfc5118/wire/ipv6-good.sip", about: "an IPv6 reference", want: "405", due: true, header: "Allow: INVITE"},
	{file: "rfc5118/wire/ipv6-bad.sip", about: "an IPv6 address without brackets", want: "400"},
	{file: "rfc5118/wire/port-ambiguous.sip", about: "what may have been meant as a port", want: "405", due: true, header: "Allow: INVITE"},
	{file: "rfc5118/wire/port-unambiguous.sip", about: "a port behind the brackets", want: "405", due: true, header: "Allow: INVITE"},
	{file: "rfc5118/wire/via-received-param-with-delim.sip", about: "brackets in received; the BYE is of no dialog here", want: "481"},
	{file: "rfc5118/wire/via-received-param-no-delim.sip", about: "no brackets in received; the OPTIONS is to the gateway itself", want: "200", header: "Allow: INVITE"},
	{file: "rfc5118/wire/ipv6-in-sdp.sip", about: "IPv6 addresses in the session description", want: "crosses, 200"},
	{file: "rfc5118/wire/mult-ip-in-header.sip", about: "both families in the Vias; the BYE is of no dialog here", want: "481"},
	{file: "rfc5118/wire/mult-ip-in-sdp.sip", about: "both families in the session description", want: "crosses, 200"},
	{file: "rfc5118/wire/ipv4-mapped-ipv6.sip", about: "IPv4 addresses mapped to IPv6", want: "crosses, 200"},
	{file: "rfc5118/wire/ipv6-bug-abnf-3-colons.sip", about: "a third colon, by an error of the grammar", want: "crosses, 200"},
	{file: "rfc5118/wire/ipv6-correct-abnf-2-colons.sip", about: "two colons", want: "crosses, 200"},
}

var tortureTransports = []transport.Transport{transport.UDP, transport.TCP, transport.TLS}

func readTorture(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "sip", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTorture sends each message over each transport and compares the reaction,
// what the responses hold and what crosses. docs/reference/torture.md is what it
// found.
func TestTorture(t *testing.T) {
	found := make([]verdicts, len(tortures))
	for i, c := range tortures {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			raw := readTorture(t, c.file)
			found[i].parser = parserVerdict(raw)
			for _, tr := range tortureTransports {
				got := between(t, tr, raw, replies(max(c.code, 200)))
				found[i].wire = append(found[i].wire, got.String())
				want := c.want
				if tr != transport.UDP && c.stream != "" {
					want = c.stream
				}
				if got.String() != want {
					t.Errorf("%v: got %s, want %s", tr, got, want)
				}
				if !slices.ContainsFunc(got.finals, func(m *sip.Message) bool {
					return strings.Contains(string(m.Bytes()), "\r\n"+c.header)
				}) && c.header != "" {
					t.Errorf("%v: no %q in the answer", tr, c.header)
				}
				if got.crossed != nil {
					sameAcross(t, raw, got.crossed)
				}
				if expectedOf(t, c).allows(c, got) == (c.differs != "") {
					t.Errorf("%v: %s against what the RFC says, differs %q", tr, got, c.differs)
				}
			}
		})
	}
	torturePage(t, found)
}

// TestTortureOfTheRest sends what is not among the 61: must do no harm.
func TestTortureOfTheRest(t *testing.T) {
	type odd struct{ file, udp, stream string }
	odds := []odd{{"rfc4475/test.dat", "silence", "silence"}}
	archive, err := filepath.Glob("../../sip/testdata/rfc5118/archive/*")
	if err != nil || len(archive) != 12 {
		t.Fatalf("%d files, %v", len(archive), err)
	}
	for _, f := range archive {
		odds = append(odds, odd{"rfc5118/archive/" + filepath.Base(f), "silence", "closed"}) // no line of theirs ends
	}
	for _, c := range odds {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			for _, tr := range tortureTransports {
				want := c.stream
				if tr == transport.UDP {
					want = c.udp
				}
				if got := between(t, tr, readTorture(t, c.file), replies(200)).String(); got != want {
					t.Errorf("%v: got %s, want %s", tr, got, want)
				}
			}
		})
	}
	t.Run("baddn.dat with its empty line", func(t *testing.T) {
		for _, tr := range tortureTransports {
			if got := between(t, tr, append(readTorture(t, "rfc4475/baddn.dat"), "\r\n"...), replies(200)).String(); got != "400" {
				t.Errorf("%v: got %s, want 400", tr, got)
			}
		}
	})
}

// TestTortureAsAnswers gives the responses among the messages where somebody waits
// for one: the callee answers with their status line and headers, and then, where
// that is to be nothing, as it should.
func TestTortureAsAnswers(t *testing.T) {
	invite := readTorture(t, "rfc4475/invut.dat")
	for _, c := range []struct {
		file string
		edit []string // of the response: the code, where another shows what was believed
		want string
		text string // the reason that the caller sees
	}{
		{"rfc4475/unreason.dat", nil, "crosses, 200", "= 2**3 * 5**2 но сто девяносто девять - простое"},
		{"rfc4475/noreason.dat", nil, "crosses, 200", "OK"},
		{"rfc4475/scalarlg.dat", nil, "crosses, 200", "OK"},
		{"rfc4475/bigcode.dat", nil, "crosses, 200", "OK"},
		{"rfc4475/bcast.dat", []string{"SIP/2.0 200 OK", "SIP/2.0 486 Busy Here"}, "crosses, 200", "OK"},
	} {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			odd := strings.NewReplacer(c.edit...).Replace(string(readTorture(t, c.file)))
			for _, tr := range tortureTransports {
				got := between(t, tr, invite, func(req *sip.Message) [][]byte {
					return [][]byte{answerLike(odd, req), replies(200)(req)[0]}
				})
				if got.String() != c.want {
					t.Errorf("%v: got %s, want %s", tr, got, c.want)
				} else if reason := string(got.finals[0].Reason()); reason != c.text {
					t.Errorf("%v: reason %q, want %q", tr, reason, c.text)
				}
			}
		})
	}
}

// answerLike makes a response to req of one to another request: what ties it to
// that is put in, all else stays, a second Via too.
func answerLike(odd string, req *sip.Message) []byte {
	head, body, _ := strings.Cut(odd, "\r\n\r\n")
	via := string(req.First(sip.HdrVia))
	cseq, _ := req.CSeq()
	var out []string
	for line := range strings.SplitSeq(head, "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Via":
			if via != "" {
				value, via = via, ""
			}
		case "Call-ID":
			value = string(req.CallID())
		case "From":
			value = string(req.First(sip.HdrFrom))
		case "To":
			value = string(req.First(sip.HdrTo)) + ";tag=callee"
		case "CSeq":
			if len(value) < 20 {
				value = fmt.Sprint(cseq.Seq, " ", cseq.Method)
			}
		case "Contact":
			value = "<sip:callee@" + acmeAddr + ";transport=tcp>"
		default:
			out = append(out, line)
			continue
		}
		out = append(out, name+": "+value)
	}
	return []byte(strings.Join(out, "\r\n") + "\r\n\r\n" + body)
}

// sameAcross compares what crossed with what was sent: the user of the
// Request-URI, unknown headers and the body are the same, a Route is not there.
func sameAcross(t *testing.T, raw []byte, crossed *sip.Message) {
	t.Helper()
	m, err := sip.Parse(raw)
	if err != nil {
		t.Fatalf("%v crossed", err)
	}
	if !bytes.Equal(m.Body(), crossed.Body()) || m.Method() != crossed.Method() || crossed.Has(sip.HdrRoute) {
		t.Errorf("other than what was sent:\n%s", crossed.Bytes())
	}
	mine, _ := sip.ParseURI(m.RequestURI())
	theirs, _ := sip.ParseURI(crossed.RequestURI())
	if !bytes.Equal(mine.User, theirs.User) {
		t.Errorf("user %q, was %q", theirs.User, mine.User)
	}
	for f := range m.Fields() {
		if f.ID == sip.HdrOther && !bytes.Contains(crossed.Bytes(), fmt.Appendf(nil, "\r\n%s: %s\r\n", f.Name, f.Value)) {
			t.Errorf("%s: %q is not in\n%s", f.Name, f.Value, crossed.Bytes())
		}
	}
}
