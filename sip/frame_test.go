package sip

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// cut is what came out of a stream.
type cut struct {
	messages []string // bytes, and the error when the message is malformed
	pings    int      // bytes of keep-alives
	left     int      // bytes that wait for more
	end      string   // why it ended
}

// frames feeds b to a Framer in pieces of the given size.
func frames(limits Limits, b []byte, size int) (out cut) {
	return framesBy(limits, b, func() int { return size })
}

// framesBy is frames with pieces of any sizes.
func framesBy(limits Limits, b []byte, size func() int) (out cut) {
	f := Framer{Limits: limits}
	m := Acquire()
	defer m.Release()
	var buf []byte
	for {
		n, kind, err := f.Next(buf, m)
		if fe, ok := errors.AsType[*FrameError](err); ok {
			out.end = fmt.Sprintf("%s, Via %q", fe.Reason, m.First(HdrVia))
			return out
		}
		switch kind {
		case FrameMessage:
			if err == nil {
				err = m.Check()
			}
			out.messages = append(out.messages, fmt.Sprintf("%s: %v", m.Bytes(), err))
		case FrameKeepAlive:
			out.pings += n
		case FrameMore:
			if len(b) == 0 {
				out.left = len(buf)
				return out
			}
			k := min(size(), len(b))
			buf, b = append(buf, b[:k]...), b[k:]
		}
		buf = buf[n:]
	}
}

// sizes are pieces of every length that can matter to a stream of n bytes.
func sizes(n int) (out []int) {
	for size := 1; size < n; size = size*3/2 + 1 {
		out = append(out, size)
	}
	return append(out, max(n, 1))
}

func TestFramesInAnyPieces(t *testing.T) {
	second := append(request("Content-Length: 3"), "abc"...)
	folded := request("Subject: a\r\n b\r\n\tc", "l: 0")
	stream := slices.Concat(invite, second, []byte("\r\n\r\n"), folded, invite)
	unfolded := bytes.ReplaceAll(bytes.ReplaceAll(folded, []byte("\r\n b"), []byte("   b")), []byte("\r\n\t"), []byte("  \t"))
	var want []string
	for _, m := range [][]byte{invite, second, unfolded, invite} {
		want = append(want, string(m)+": <nil>")
	}
	for _, size := range sizes(len(stream)) {
		got := frames(Limits{}, bytes.Clone(stream), size)
		if got.end != "" || got.pings != 4 || got.left != 0 || !slices.Equal(got.messages, want) {
			t.Fatalf("pieces of %d: %+v", size, got)
		}
	}
}

// Whatever comes, it is the same in one piece and in many: the messages, their
// faults, and why the stream ended.
func TestPiecesMakeNoDifference(t *testing.T) {
	good := string(request("l: 0"))
	for _, c := range []struct {
		name, in string
		messages int
		end      string // how it ends, "" when it goes on
	}{
		{"no Content-Length", string(request()), 0, "no usable Content-Length"},
		{"two Content-Lengths", string(request("Content-Length: 0", "+Content-Length: 5")), 0, "no usable Content-Length"},
		{"two Content-Lengths, the second a word", string(request("Content-Length: 0", "+Content-Length: x")), 0, "no usable Content-Length"},
		{"two Content-Lengths, the first a word", string(request("Content-Length: x", "+Content-Length: 0")), 0, "no usable Content-Length"},
		{"negative Content-Length", string(request("Content-Length: -1")), 0, "no usable Content-Length"},
		{"a good message, then none", good + string(request()) + good, 1, "no usable Content-Length"},
		{"Content-Length behind too many fields", "OPTIONS sip:a SIP/2.0\r\n" + strings.Repeat("A: b\r\n", 256) + "l: 0\r\n\r\n", 0, "a message has at most 256 header fields"},
		{"ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0, "a TLS ClientHello on a port without TLS"},
		{"nearly a ClientHello", "\x16\x02\x01", 0, noSIP},
		{"HTTP", "GET / HTTP/1.1\r\n", 0, "an HTTP request on a SIP port"},
		{"HTTP by a longer name", "PROPFIND /x HTTP/1.1\r\n\r\n", 0, "an HTTP request on a SIP port"},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, "an HTTP request on a SIP port"},
		{"SSH", "SSH-2.0-x\r\n", 0, noSIP},
		{"binary", "\x00\x01\x02\x03", 0, noSIP},
		{"a word and a line's end", "OPTIONS\r\nl: 0\r\n\r\n", 0, noSIP},
		{"space in front", " OPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n", 0, noSIP},
		{"slash in front", "/OPTIONS", 0, noSIP},
		{"LF in front", "\nOPTIONS", 0, noSIP},
		{"CR in front", "\r\rOPTIONS", 0, noSIP},
		{"one endless word", strings.Repeat("A", 100), 0, noSIP},
		{"the longest method", strings.Repeat("A", maxMethod-1) + " sip:a SIP/2.0\r\nl: 0\r\n\r\n", 1, ""},
		{"nonsense behind a message", good + "\x00", 1, noSIP},
		{"nonsense behind a keep-alive", "\r\n\x00", 0, noSIP},
		{"endless header", "INVITE sip:a@b SIP/2.0\r\nSubject: " + strings.Repeat("x", 70<<10), 0, longHead},
		{"endless first line", "INVITE sip:" + strings.Repeat("x", 70<<10), 0, longHead},
		{"a whole header section that is too long", "INVITE sip:a@b SIP/2.0\r\nVia: a\r\n" + strings.Repeat("A: b\r\n", 12_000) + "\r\n", 0, longHead},
		{"too long a body", string(request("Content-Length: 99999999")), 0, "message longer than the limit"},
		{"2^64 bytes of body", string(request("Content-Length: 18446744073709551616")), 0, "no usable Content-Length"},

		{"no URI", "OPTIONS SIP/2.0\r\nl: 0\r\n\r\n" + good, 2, ""},
		{"no version", "OPTIONS sip:a\r\nl: 2\r\n\r\nab" + good, 2, ""},
		{"a foreign version", "OPTIONS sip:a SIP/7.0\r\nl: 0\r\n\r\n" + good, 2, ""},
		{"spaces in the first line", "OPTIONS   sip:a   SIP/2.0   \r\nl: 0\r\n\r\n" + good, 2, ""},
		{"CR in the first line", "OPTIONS sip:\ra SIP/2.0\r\nl: 0\r\n\r\n" + good, 2, ""},
		{"LF in the first line", "OPTIONS sip:\na SIP/2.0\r\nl: 0\r\n\r\n" + good, 2, ""},
		{"a broken status line", "SIP/2.0 x\r\nl: 0\r\n\r\n" + good, 2, ""},
		{"a status line of a foreign version", "SIP/\r\nl: 0\r\n\r\n" + good, 2, ""},
		{"a folded first line", "OPTIONS sip:a\r\n SIP/2.0\r\nl: 0\r\n\r\n" + good, 2, ""},
		{"a malformed header", string(request("CSeq: x INVITE", "+Subject: a\rb", "Content-Length: 2")) + "ab" + good, 2, ""},
		{"a line without a colon", string(request("+nonsense", "l: 0")) + good, 2, ""},
		{"one line too long", string(request("Subject: "+strings.Repeat("x", 9000), "l: 0")) + good, 2, ""},
		{"LFs alone", "OPTIONS sip:a SIP/2.0\nVia: b\n\nl: 0\r\n\r\n" + good, 0, "no usable Content-Length"},
		{"LFs alone for ever", "OPTIONS sip:a SIP/2.0\n" + strings.Repeat("A: b\n", 1000) + "\n\n", 0, ""},
		{"keep-alives", "\r\n\r\n\r\n\r\n" + good + "\r\n", 1, ""},
		{"half a keep-alive", "\r", 0, ""},
		{"a message in a body", string(request(fmt.Sprintf("l: %d", len(good)))) + good + good, 2, ""},
		{"nothing", "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := frames(Limits{}, []byte(c.in), max(1, len(c.in)))
			if len(whole.messages) != c.messages || !strings.HasPrefix(whole.end, c.end) || c.end == "" && whole.end != "" {
				t.Errorf("in one piece: %d messages, end %q; want %d, %q", len(whole.messages), whole.end, c.messages, c.end)
			}
			for _, size := range sizes(min(len(c.in), 2000)) {
				if got := frames(Limits{}, []byte(c.in), size); !equal(got, whole) {
					t.Fatalf("pieces of %d:\n%+v\nin one piece:\n%+v", size, got, whole)
				}
			}
		})
	}
}

// equal compares what came of two streams; bytes left over after its end are of
// no interest.
func equal(a, b cut) bool {
	return slices.Equal(a.messages, b.messages) && a.pings == b.pings && a.left == b.left && a.end == b.end
}

// What cannot be cut any further is still readable, so that a 400 can go out.
func TestTheLastMessageIsReadable(t *testing.T) {
	var f Framer
	m := Acquire()
	defer m.Release()
	b := append(request(), "what stands behind"...)
	n, kind, err := f.Next(b, m)
	if _, ok := errors.AsType[*FrameError](err); !ok || n != 0 || kind != FrameMore {
		t.Fatalf("got %d, %d, %v", n, kind, err)
	}
	via, err := m.Via()
	if err != nil || string(via.Branch()) != "z9hG4bK1" || m.Method() != INVITE || !bytes.Equal(m.Bytes(), request()) || len(m.Body()) != 0 {
		t.Errorf("got %v, %q, body %q of\n%s", err, via.Branch(), m.Body(), m.Bytes())
	}
}

// The message of an unfinished one is empty, whatever it was before.
func TestUnfinishedMessagesAreEmpty(t *testing.T) {
	whole := append(request("Content-Length: 3"), "abc"...)
	for _, n := range []int{10, 50, len(whole) - 10, len(whole) - 1} {
		m := mustParse(t, invite)
		var f Framer
		if used, kind, err := f.Next(whole[:n], m); used != 0 || kind != FrameMore || err != nil {
			t.Fatalf("%d bytes: %d, %d, %v", n, used, kind, err)
		}
		if len(fieldsOf(m)) > 0 || m.Has(HdrVia) || m.Method() != "" || len(m.Bytes()) > 0 || len(m.Body()) > 0 {
			t.Fatalf("%d bytes: the message is %s %q", n, m.Method(), m.Bytes())
		}
		if used, kind, err := f.Next(whole, m); used != len(whole) || kind != FrameMessage || err != nil {
			t.Fatalf("%d bytes, then all: %d, %d, %v", n, used, kind, err)
		}
		if string(m.Body()) != "abc" || !bytes.Equal(m.Bytes(), whole) {
			t.Errorf("%d bytes, then all: got\n%s", n, m.Bytes())
		}
		m.Release()
	}
}

func TestLimitsOfTheFramer(t *testing.T) {
	m := request("Subject: "+strings.Repeat("x", 200), "Content-Length: 50")
	m = append(m, strings.Repeat("b", 50)...)
	for _, c := range []struct {
		name   string
		limits Limits
		end    string
		faults bool
	}{
		{"all that is needed", Limits{Message: len(m), Headers: 9, HeaderLine: 210}, "", false},
		{"one byte of message less", Limits{Message: len(m) - 1, Headers: 9, HeaderLine: 210}, "message longer", false},
		{"the header section alone", Limits{Message: len(m) - 50, Headers: 9, HeaderLine: 210}, "message longer", false},
		{"less than the header section", Limits{Message: len(m) - 51, Headers: 9, HeaderLine: 210}, longHead, false},
		{"one header less", Limits{Message: len(m), Headers: 7, HeaderLine: 210}, "a message has at most 7 header fields", false},
		{"a shorter line", Limits{Message: len(m), Headers: 9, HeaderLine: 208}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range sizes(len(m)) {
				got := frames(c.limits, bytes.Clone(m), size)
				if !strings.HasPrefix(got.end, c.end) || c.end == "" && len(got.messages) != 1 {
					t.Fatalf("pieces of %d: %+v", size, got)
				}
				if c.end == "" && strings.HasSuffix(got.messages[0], ": <nil>") == c.faults {
					t.Fatalf("pieces of %d: %s", size, got.messages[0])
				}
			}
		})
	}
}

func TestFramerAllocatesNothing(t *testing.T) {
	stream := slices.Concat(invite, invite, invite)
	m := Acquire()
	defer m.Release()
	var f Framer
	if n := testing.AllocsPerRun(100, func() {
		for b := stream; len(b) > 0; {
			n, _, err := f.Next(b, m)
			if n == 0 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			b = b[n:]
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A header section that is too long ends the stream alike in any pieces, also
// when a continued line stands across the limit.
func TestTooLongHeadInAnyPieces(t *testing.T) {
	head := "OPTIONS sip:a SIP/2.0\r\nTo: <sip:a@b>\r\nVia: SIP/2.0/UDP a\r\n"
	in := head + " ;branch=z9hG4bK1\r\nSubject: x\r\nl: 0\r\n\r\n"
	for limit := len(head) - 4; limit < len(head)+8; limit++ {
		whole := frames(Limits{Message: limit}, []byte(in), len(in))
		for _, size := range sizes(len(in)) {
			if got := frames(Limits{Message: limit}, []byte(in), size); !equal(got, whole) {
				t.Fatalf("limit %d, pieces of %d:\n%+v\nin one piece:\n%+v", limit, size, got, whole)
			}
		}
	}
}
