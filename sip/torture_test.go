package sip

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fault is what a ParseError is to say; the zero fault is none.
type fault struct {
	header, rule string // rule: a part of it
	status       int
}

// tortures has each message of RFC 4475 and RFC 5118 once: what is wrong with
// it, by itself in a datagram, and what has to be read in it.
var tortures = []struct {
	file  string
	fault fault
	sees  func(m *Message) string // what reads in it, one thing a line
	want  string
}{
	{"rfc4475/wsinv.dat", fault{}, func(m *Message) string {
		return lines(from(m).Display, to(m).Tag(), from(m).Tag(), hops(m), m.First(HdrMaxForwards), cseq(m), branches(m),
			other(m, "NewFangledHeader"), other(m, "UnknownHeaderWithUnusualValue"), m.First(HdrSubject), contact(m).Display, contact(m).Params)
	}, `"J Rosenberg \\\""|1918181833n|98asjd8|68 true|0068|9 INVITE|390skdjuw z9hG4bK9ikj8 z9hG4bK30239|` +
		`newfangled value   continued newfangled value|;;,,;;,;||"Quoted string \"\""|; newparam =        newvalue ;    secondparam ; q = 0.33`},
	{"rfc4475/intmeth.dat", fault{}, func(m *Message) string {
		return lines(m.Method(), uri(m).User, to(m).Display, from(m).Display, from(m).Tag(), branches(m), m.CallID(), hops(m), cseq(m))
	}, "!interesting-Method0123456789_*+`.%indeed'~|1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*|\"BEL:\\\a NUL:\\\x00 DEL:\\\x7f\"|" +
		"token1~` token2'+_ token3*%!.-|_token~1'+`*%!-.|z9hG4bK-.!%66*_+`'~|intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{|255 true|" +
		"139122385 !interesting-Method0123456789_*+`.%indeed'~"},
	{"rfc4475/esc01.dat", fault{}, func(m *Message) string {
		c, _ := contact(m).URI()
		value, _ := c.Params.Get("n%61me")
		return lines(plain(uri(m).User), uri(m).Host, plain(target(to(m)).User), plain(target(from(m)).User), plain(c.User), c.Params, plain(value))
	}, "sips:user@example.com|example.net|user|I have spaces|caller|;%6C%72;n%61me=v%61lue%25%34%31|value%41"},
	{"rfc4475/escnull.dat", fault{}, func(m *Message) string {
		var out strings.Builder
		out.WriteString(lines(fmt.Sprintf("%q", plain(target(to(m)).User))))
		for v := range m.Values(HdrContact) {
			a, _ := ParseAddress(v)
			out.WriteString(fmt.Sprintf("|%q", plain(target(a).User)))
		}
		return out.String()
	}, `"null-\x00-null"|"\x00"|"\x00\x00"`},
	{"rfc4475/esc02.dat", fault{}, func(m *Message) string {
		return lines(m.Method(), m.Method() == REGISTER, cseq(m), to(m).Display, branches(m), count(m, HdrContact), other(m, "C%6Fntact"))
	}, `RE%47IST%45R|false|29344 RE%47IST%45R|"%Z%45"|z9hG4bK209%fzsnel234|2|<sip:alias2@host2.example.com>`},
	{"rfc4475/lwsdisp.dat", fault{}, func(m *Message) string { return lines(from(m).Display, from(m).RawURI, from(m).Tag()) },
		"caller|sip:caller@example.com|323"},
	{"rfc4475/longreq.dat", fault{}, func(m *Message) string {
		return lines(count(m, HdrVia), len(m.Body()), len(m.Bytes()), len(contact(m).RawURI), m.Has(HdrRoute))
	}, "34|150|3515|137|false"},
	{"rfc4475/dblreq.dat", fault{}, func(m *Message) string {
		return lines(m.Method(), m.CallID(), len(m.Body()), bytes.Contains(m.Bytes(), []byte("INVITE")))
	}, "REGISTER|dblreq.0ha0isndaksdj99sdfafnl3lk233412|0|false"},
	{"rfc4475/semiuri.dat", fault{}, func(m *Message) string {
		return lines(plain(uri(m).User), uri(m).Host, len(uri(m).Params), count(m, HdrAccept))
	},
		"user;par=u@example.net|example.com|0|6"},
	{"rfc4475/transports.dat", fault{}, func(m *Message) string { return lines(via(m).Transport, branches(m)) },
		"UDP|z9hG4bKkdjuw z9hG4bKklasjdhf z9hG4bK2980unddj z9hG4bKasd0f3en z9hG4bK0a9idfnee"},
	{"rfc4475/mpart01.dat", fault{}, func(m *Message) string {
		return lines(len(m.Body()), bytes.Count(m.Body(), []byte{0}), bytes.HasSuffix(m.Body(), []byte("--7a9cbec02ceef655--\r\n")), count(m, HdrRoute))
	}, "553|2|true|1"},
	{"rfc4475/unreason.dat", fault{}, func(m *Message) string { return lines(m.StatusCode(), m.Reason(), len(m.Body())) },
		"200|= 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e \u0434\u0435\u0432\u044f\u043d\u043e\u0441\u0442\u043e \u0434\u0435\u0432\u044f\u0442\u044c - \u043f\u0440\u043e\u0441\u0442\u043e\u0435|154"},
	{"rfc4475/noreason.dat", fault{}, func(m *Message) string { return lines(m.StatusCode(), len(m.Reason())) }, "100|0"},
	{"rfc4475/badinv01.dat", fault{"Via", "parameter is empty", 400}, nil, ""},
	{"rfc4475/clerr.dat", fault{"Content-Length", "as long as", 400}, nil, ""},
	{"rfc4475/ncl.dat", fault{"Content-Length", "a number of bytes", 400}, nil, ""},
	{"rfc4475/scalar02.dat", fault{"CSeq", "below 2147483648", 400}, nil, ""},
	{"rfc4475/scalarlg.dat", fault{"CSeq", "below 2147483648", 400}, func(m *Message) string { return lines(m.IsRequest(), m.StatusCode()) }, "false|503"},
	{"rfc4475/quotbal.dat", fault{"To", "quotes do not close", 400}, nil, ""},
	{"rfc4475/ltgtruri.dat", fault{"Request-URI", "scheme", 400}, nil, ""},
	{"rfc4475/lwsruri.dat", fault{"Request-URI", "parameter", 400}, nil, ""},
	{"rfc4475/lwsstart.dat", fault{"Request-URI", "scheme", 400}, nil, ""},
	{"rfc4475/trws.dat", fault{"Request-Line", "version", 400}, nil, ""},
	{"rfc4475/escruri.dat", fault{"Request-URI", "has no headers", 400}, func(m *Message) string { return lines(m.Has(HdrRoute), count(m, HdrRoute)) }, "false|0"},
	{"rfc4475/baddate.dat", fault{}, func(m *Message) string { return lines(m.First(HdrDate)) }, "Fri, 01 Jan 2010 16:00:00 EST"},
	{"rfc4475/regbadct.dat", fault{"Contact", "angle brackets", 400}, nil, ""},
	{"rfc4475/badaspec.dat", fault{"To", "scheme", 400}, nil, ""},
	{"rfc4475/baddn.dat", fault{"message", "empty line", 400}, nil, ""}, // see TestUnfinishedTorture
	{"rfc4475/badvers.dat", fault{"Request-Line", "version", 505}, nil, ""},
	{"rfc4475/mismatch01.dat", fault{"CSeq", "method", 400}, nil, ""},
	{"rfc4475/mismatch02.dat", fault{"CSeq", "method", 501}, nil, ""},
	{"rfc4475/bigcode.dat", fault{"Status-Line", "three digits", 400}, func(m *Message) string { return lines(m.IsRequest()) }, "false"},
	{"rfc4475/badbranch.dat", fault{}, func(m *Message) string { return lines(branches(m)) }, "z9hG4bK"},
	{"rfc4475/insuf.dat", fault{"From", "mandatory", 400}, nil, ""},
	{"rfc4475/unkscm.dat", fault{}, func(m *Message) string { return lines(uri(m).Scheme, uri(m).User, uri(m).SIP()) }, "nobodyKnowsThisScheme|totallyopaquecontent|false"},
	{"rfc4475/novelsc.dat", fault{}, func(m *Message) string { return lines(uri(m).Scheme, uri(m).SIP()) }, "soap.beep|false"},
	{"rfc4475/unksm2.dat", fault{}, func(m *Message) string { return lines(to(m).RawURI, from(m).RawURI, from(m).Tag(), contact(m).RawURI) },
		"isbn:2983792873|http://www.example.com|3234233|name:John_Smith"},
	{"rfc4475/bext01.dat", fault{}, func(m *Message) string { return lines(count(m, HdrRequire), count(m, HdrProxyRequire)) }, "2|2"},
	{"rfc4475/invut.dat", fault{}, func(m *Message) string { return lines(m.First(HdrContentType), len(m.Body())) }, "application/unknownformat|40"},
	{"rfc4475/regaut01.dat", fault{}, func(m *Message) string { return lines(m.First(HdrAuthorization)) }, "NoOneKnowsThisScheme opaque-data=here"},
	{"rfc4475/multi01.dat", fault{"CSeq", "at most once", 400}, nil, ""},
	{"rfc4475/mcl01.dat", fault{"Content-Length", "never with two values", 400}, nil, ""},
	{"rfc4475/bcast.dat", fault{}, func(m *Message) string { return lines(m.StatusCode(), count(m, HdrVia), via(m).Host) }, "200|2|192.0.2.198"},
	{"rfc4475/zeromf.dat", fault{}, func(m *Message) string { return lines(hops(m)) }, "0 true"},
	{"rfc4475/cparam01.dat", fault{}, func(m *Message) string {
		return lines(contact(m).RawURI, contact(m).Params, len(target(contact(m)).Params))
	}, "sip:+19725552222@gw1.example.net|;unknownparam|0"},
	{"rfc4475/cparam02.dat", fault{}, func(m *Message) string {
		return lines(contact(m).RawURI, contact(m).Params, target(contact(m)).Params)
	}, "sip:+19725552222@gw1.example.net;unknownparam||;unknownparam"},
	{"rfc4475/regescrt.dat", fault{}, func(m *Message) string { return lines(target(contact(m)).Headers, m.Has(HdrRoute)) }, "Route=%3Csip:sip.example.com%3E|false"},
	{"rfc4475/sdp01.dat", fault{}, func(m *Message) string { return lines(m.First(HdrAccept)) }, "text/nobodyKnowsThis"},
	{"rfc4475/inv2543.dat", fault{}, func(m *Message) string {
		return lines(len(via(m).Branch()), len(from(m).Tag()), m.Has(HdrMaxForwards), len(m.Body()), to(m).Params)
	}, "0|0|false|105|;user=phone"},

	{"rfc5118/wire/ipv6-good.sip", fault{}, func(m *Message) string {
		return lines(uri(m).HostName(), uri(m).Port, via(m).Host, target(contact(m)).HostName())
	},
		"2001:db8::10|0|[2001:db8::9:1]|2001:db8::1"},
	{"rfc5118/wire/ipv6-bad.sip", fault{"Request-URI", "port", 400}, nil, ""},
	{"rfc5118/wire/port-ambiguous.sip", fault{}, func(m *Message) string { return lines(uri(m).HostName(), uri(m).Port) }, "2001:db8::10:5070|0"},
	{"rfc5118/wire/port-unambiguous.sip", fault{}, func(m *Message) string { return lines(uri(m).HostName(), uri(m).Port) }, "2001:db8::10|5070"},
	{"rfc5118/wire/via-received-param-with-delim.sip", fault{}, func(m *Message) string { return lines(via(m).Received(), branches(m)) }, "2001:db8::9:255|z9hG4bKas3-111"},
	{"rfc5118/wire/via-received-param-no-delim.sip", fault{}, func(m *Message) string { return lines(via(m).Received(), branches(m)) }, "2001:db8::9:255|z9hG4bKas3"},
	{"rfc5118/wire/ipv6-in-sdp.sip", fault{}, func(m *Message) string {
		return lines(len(m.Body()), bytes.Contains(m.Body(), []byte("c=IN IP6 2001:db8::20\r\n")))
	}, "251|true"},
	{"rfc5118/wire/mult-ip-in-header.sip", fault{}, func(m *Message) string {
		var out strings.Builder
		for v := range m.Values(HdrVia) {
			var one Via
			one.parse(v)
			out.WriteString(lines(one.Transport, one.Host, one.Port, one.Received()) + " ")
		}
		return out.String()
	}, "UDP|[2001:db8::9:1]|6050| UDP|192.0.2.1|0| TCP|[2001:db8::9:255]|0|192.0.2.200 "},
	{"rfc5118/wire/mult-ip-in-sdp.sip", fault{}, func(m *Message) string { return lines(len(m.Body()), bytes.Count(m.Body(), []byte("\r\nc=IN IP"))) }, "189|2"},
	{"rfc5118/wire/ipv4-mapped-ipv6.sip", fault{}, func(m *Message) string {
		return lines(via(m).Host, via(m).Port, target(contact(m)).HostName(), len(m.Body()))
	},
		"[::ffff:192.0.2.10]|19823|::ffff:192.0.2.2|245"},
	{"rfc5118/wire/ipv6-bug-abnf-3-colons.sip", fault{}, func(m *Message) string { return lines(uri(m).HostName()) }, "2001:db8:::192.0.2.1"},
	{"rfc5118/wire/ipv6-correct-abnf-2-colons.sip", fault{}, func(m *Message) string { return lines(uri(m).HostName()) }, "2001:db8::192.0.2.1"},
}

// The readers of what a message holds.

func lines(values ...any) string {
	var out []string
	for _, v := range values {
		if b, ok := v.(Params); ok {
			v = []byte(b)
		}
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		out = append(out, fmt.Sprint(v))
	}
	return strings.Join(out, "|")
}

func via(m *Message) Via         { v, _ := m.Via(); return v }
func from(m *Message) Address    { a, _ := m.From(); return a }
func to(m *Message) Address      { a, _ := m.To(); return a }
func contact(m *Message) Address { a, _ := m.Contact(); return a }
func target(a Address) URI       { u, _ := a.URI(); return u }
func uri(m *Message) URI         { u, _ := ParseURI(m.RequestURI()); return u }
func plain(b []byte) string      { return string(AppendUnescape(nil, b)) }
func cseq(m *Message) string     { c, _ := m.CSeq(); return fmt.Sprint(c.Seq, " ", c.Method) }
func hops(m *Message) string     { n, ok := m.MaxForwards(); return fmt.Sprint(n, ok) }

func count(m *Message, id HeaderID) (n int) {
	for range m.Values(id) {
		n++
	}
	return n
}

func branches(m *Message) string {
	var out []string
	for v := range m.Values(HdrVia) {
		var one Via
		one.parse(v)
		out = append(out, string(one.Branch()))
	}
	return strings.Join(out, " ")
}

// other returns the value of a header that the package does not know.
func other(m *Message, name string) string {
	for f := range m.Fields() {
		if f.ID == HdrOther && string(f.Name) == name {
			return string(f.Value)
		}
	}
	return "none"
}

func readTorture(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// judge compares what is wrong with a message.
func judge(t *testing.T, err error, want fault) {
	t.Helper()
	pe, _ := errors.AsType[*ParseError](err)
	switch {
	case want == fault{}:
		if err != nil {
			t.Errorf("got %v, want no fault", err)
		}
	case pe == nil || pe.Header != want.header || !strings.Contains(pe.Rule, want.rule) || pe.Status() != want.status:
		t.Errorf("got %v, want %+v", err, want)
	}
}

// TestTorture gives the parser each message of RFC 4475 and RFC 5118 as a
// datagram, and compares its verdict with the one that the RFC's prose leads to.
func TestTorture(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range tortures {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			seen[c.file] = true
			m, err := Parse(readTorture(t, c.file))
			defer m.Release()
			if err == nil {
				err = m.Check()
			}
			judge(t, err, c.fault)
			if c.sees != nil {
				if got := c.sees(m); got != c.want {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
			}
			row := expected(t, c.file)
			if accepts := c.fault == (fault{}); !strings.HasPrefix(row.verdict, "either") && accepts != strings.HasPrefix(row.valid, "yes") {
				t.Errorf("accepted is %v, the RFC says valid: %s, %s", accepts, row.valid, row.verdict)
			}
		})
	}
	for _, file := range tortureFiles(t) {
		if !seen[file] {
			t.Errorf("%s has no case", file)
		}
	}
}

// row is a line of expected.tsv.
type row struct{ valid, verdict, behaviour string }

func expected(t *testing.T, file string) row {
	t.Helper()
	name := strings.TrimSuffix(filepath.Base(file), ".sip")
	for line := range strings.Lines(string(readTorture(t, strings.SplitN(file, "/", 2)[0]+"/expected.tsv"))) {
		if c := strings.Split(strings.TrimRight(line, "\n"), "\t"); c[0] == name {
			return row{c[2], c[3], c[4]}
		}
	}
	t.Fatalf("%s is not in expected.tsv", name)
	return row{}
}

// tortureFiles are the 61 messages.
func tortureFiles(t testing.TB) (files []string) {
	t.Helper()
	for _, pattern := range []string{"rfc4475/*.dat", "rfc5118/wire/*.sip"} {
		found, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if name := filepath.ToSlash(f)[len("testdata/"):]; name != "rfc4475/test.dat" {
				files = append(files, name)
			}
		}
	}
	if len(files) != 61 {
		t.Fatalf("%d messages, want 61", len(files))
	}
	return files
}

// TestTortureOnAStream gives the same messages to a Framer, in one piece and
// byte by byte. All but a few come out as one message with the same fault.
func TestTortureOnAStream(t *testing.T) {
	type outcome struct {
		messages int
		end      string // how the stream ends
		waits    bool   // for more bytes
	}
	odd := map[string]outcome{
		"rfc4475/baddn.dat":   {0, "", true},                                  // no empty line yet
		"rfc4475/clerr.dat":   {0, "", true},                                  // for 9,845 bytes of body
		"rfc4475/ncl.dat":     {0, "no usable Content-Length", false},         // RFC 3261 §18.3
		"rfc4475/mcl01.dat":   {0, "no usable Content-Length", false},         // whichever of the two
		"rfc4475/inv2543.dat": {0, "no usable Content-Length", false},         // which a stream needs
		"rfc4475/dblreq.dat":  {2, "bytes that no SIP message begins", false}, // a second request, and behind its body what is none
	}
	for _, c := range tortures {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			want, ok := odd[c.file]
			if !ok {
				want = outcome{messages: 1}
			}
			b := readTorture(t, c.file)
			got := frames(Limits{}, bytes.Clone(b), len(b))
			if len(got.messages) != want.messages || !strings.HasPrefix(got.end, want.end) || want.end == "" && got.end != "" || want.waits != (got.left > 0) {
				t.Errorf("%d messages, end %q, %d bytes left; want %+v", len(got.messages), got.end, got.left, want)
			}
			if bytewise := frames(Limits{}, bytes.Clone(b), 1); !equal(got, bytewise) {
				t.Errorf("in one piece %+v\nbyte by byte %+v", got, bytewise)
			}
			if want.messages == 1 {
				sameAsDatagram(t, b, c.fault)
			}
		})
	}
}

// sameAsDatagram wants the message out of a stream that comes out of a datagram.
func sameAsDatagram(t *testing.T, b []byte, want fault) {
	t.Helper()
	m, alone := Acquire(), Acquire()
	defer m.Release()
	defer alone.Release()
	var f Framer
	n, kind, err := f.Next(bytes.Clone(b), m)
	if n != len(b) || kind != FrameMessage {
		t.Fatalf("%d of %d bytes, kind %d, %v", n, len(b), kind, err)
	}
	if err == nil {
		err = m.Check()
	}
	judge(t, err, want)
	_ = alone.Load(b) // judged already
	sameMessage(t, m, alone, err)
}

// Two requests in one stream are two, and what follows a body is not its rest.
func TestSecondRequestOfAStream(t *testing.T) {
	var f Framer
	m := Acquire()
	defer m.Release()
	b := readTorture(t, "rfc4475/dblreq.dat")
	var got []string
	for len(b) > 0 {
		n, kind, err := f.Next(b, m)
		if kind == FrameMessage {
			if err == nil {
				err = m.Check()
			}
			got = append(got, lines(m.Method(), m.CallID(), len(m.Body()), err))
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	if want := "REGISTER|dblreq.0ha0isndaksdj99sdfafnl3lk233412|0|<nil> INVITE|dblreq.0ha0isnda977644900765@192.0.2.15|150|Contact: the header is mandatory"; strings.Join(got, " ") != want {
		t.Errorf("got %q", got)
	}
}

// baddn.dat lacks its last line: with it, the names without quotes are what is
// wrong. test.dat is in the archive and in no section: it must not do harm.
func TestUnfinishedTorture(t *testing.T) {
	m, err := Parse(append(readTorture(t, "rfc4475/baddn.dat"), "\r\n"...))
	if err == nil {
		err = m.Check()
	}
	judge(t, err, fault{"From", "quotes", 400})
	m.Release()
	m, err = Parse(readTorture(t, "rfc4475/test.dat"))
	judge(t, err, fault{"Request-Line", "a method, a space", 400})
	m.Release()
}

// TestArchiveOfRFC5118 holds the messages as the archive has them, without a CR:
// no line of theirs ends, so nothing is read and a stream waits.
func TestArchiveOfRFC5118(t *testing.T) {
	files, err := filepath.Glob("testdata/rfc5118/archive/*")
	if err != nil || len(files) != 12 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(b)
		judge(t, err, fault{"message", "empty line", 400})
		if m.Has(HdrVia) {
			t.Errorf("%s: a Via was read", file)
		}
		m.Release()
		for _, size := range []int{1, len(b)} {
			if got := frames(Limits{}, bytes.Clone(b), size); len(got.messages) > 0 || got.end != "" || got.left != len(b) {
				t.Errorf("%s in pieces of %d: %+v", file, size, got)
			}
		}
	}
}
