package export

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// TestPCAPNGGoldens writes the flows of each script as packets, reads the file back with a reader of the test's own, which
// holds it to the format, the lengths and every checksum, and compares what it read.
func TestPCAPNGGoldens(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("goldens: got %d files, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			flows := callflow.Builder{}.Build(parseScript(t, string(archive.Files[0].Data)))
			got := readPCAPNG(t, writePCAPNG(t, flows, Options{})).text()
			golden := filepath.Join("testdata", "pcapng", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func writePCAPNG(t *testing.T, flows []*callflow.Flow, o Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := PCAPNG(&b, flows, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Every SIP row of a flow is a packet with the row's bytes, in the same order.
func TestPCAPNGHasEverySIPRow(t *testing.T) {
	t.Parallel()
	flows := callflow.Builder{}.Build(parseScript(t, scriptOf(t, "answered-tls13")))
	var got, want []string
	for _, p := range readPCAPNG(t, writePCAPNG(t, flows, Options{})).packets {
		if len(p.data) > 0 {
			got = append(got, string(p.data))
		}
	}
	for _, r := range flows[0].Rows {
		if r.Kind == callflow.RowSIP {
			want = append(want, string(r.Raw))
		}
	}
	if len(want) < 10 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %d messages\n%s\nwant %d\n%s", len(got), got, len(want), want)
	}
}

func scriptOf(t *testing.T, name string) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	return string(archive.Files[0].Data)
}

// oneMessage makes a flow of one message of that many bytes.
func oneMessage(transport, local, remote string, length int) []*callflow.Flow {
	link := &callflow.Link{ID: 3, Transport: transport, Inbound: true, Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote)}
	return []*callflow.Flow{{
		ID: "7", Sentence: "A test.", Lifelines: []callflow.Lifeline{{Name: "a"}, {Name: "gateway", Gateway: true}},
		Legs: []*callflow.Leg{{Name: "A", Hop: callflow.Hop{Link: link}}},
		Rows: []callflow.Row{{Number: 1, At: time.Unix(1, 5), Kind: callflow.RowSIP, To: 1, Label: "INVITE", Raw: bytes.Repeat([]byte("x"), length)}},
	}}
}

// A message that is longer than a packet can be goes in several segments; as a datagram it is refused in words.
func TestPCAPNGLongMessages(t *testing.T) {
	t.Parallel()
	for _, at := range [][2]string{{"192.0.2.1:5060", "192.0.2.2:5080"}, {"[2001:db8::1]:5060", "[2001:db8::2]:5080"}} {
		file := readPCAPNG(t, writePCAPNG(t, oneMessage("tcp", at[0], at[1], 150_000), Options{}))
		total, segments := 0, 0
		for _, p := range file.packets {
			if n := len(p.data); n > 0 {
				total, segments = total+n, segments+1
			}
		}
		if total != 150_000 || segments != 3 {
			t.Errorf("%s: %d bytes in %d segments, want 150000 in 3", at[0], total, segments)
		}
		err := PCAPNG(&bytes.Buffer{}, oneMessage("udp", at[0], at[1], 65_600), Options{})
		if err == nil || !strings.Contains(err.Error(), "call/7/row/1 INVITE") || !strings.Contains(err.Error(), "write the flow as json") {
			t.Errorf("%s: a datagram too long: %v", at[0], err)
		}
		if n := len(readPCAPNG(t, writePCAPNG(t, oneMessage("udp", at[0], at[1], 65_000), Options{})).packets); n != 1 {
			t.Errorf("%s: %d packets for one datagram", at[0], n)
		}
	}
}

// A socket on all addresses, and one that took IPv4 in IPv6's clothes, give packets of one family.
func TestPCAPNGFamilies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ local, remote, want string }{
		{"[::]:5060", "[::ffff:192.0.2.9]:5080", "192.0.2.9:5080 > 0.0.0.0:5060"},
		{"0.0.0.0:5060", "192.0.2.9:5080", "192.0.2.9:5080 > 0.0.0.0:5060"},
		{"[2001:db8::1]:5060", "[fe80::1%eth0]:5080", "[fe80::1]:5080 > [2001:db8::1]:5060"},
	} {
		p := readPCAPNG(t, writePCAPNG(t, oneMessage("udp", tt.local, tt.remote, 10), Options{})).packets[0]
		if got := p.from.String() + " > " + p.to.String(); got != tt.want {
			t.Errorf("%s and %s: got %s, want %s", tt.local, tt.remote, got, tt.want)
		}
	}
}

// Connections that were kept are drawn as they were on the wire, with their secrets before the first packet; their SIP
// rows make no packets of their own.
func TestPCAPNGWithSecrets(t *testing.T) {
	t.Parallel()
	flows := callflow.Builder{}.Build(parseScript(t, scriptOf(t, "reused-busy")))
	at := flows[0].Start
	kept := &Kept{KeyLog: []byte("CLIENT_RANDOM 00 11\n"), Missing: 12, Records: []Record{
		{At: at, Out: false, Data: []byte("hello")}, {At: at.Add(time.Millisecond), Out: true, Data: []byte("server")},
	}}
	asked := 0
	file := readPCAPNG(t, writePCAPNG(t, flows, Options{Kept: func(l *callflow.Link) *Kept {
		asked++
		if l.ID == 17 {
			return kept
		}
		return nil
	}}))
	if file.secretsBefore != 0 || string(file.secrets) != string(kept.KeyLog) {
		t.Errorf("secrets %q after %d packets", file.secrets, file.secretsBefore)
	}
	if asked != 2 {
		t.Errorf("asked %d times about 2 connections", asked)
	}
	var got []string
	for _, p := range file.packets {
		if p.to.Port() == 40112 || p.from.Port() == 40112 {
			got = append(got, string(p.data))
		}
	}
	if fmt.Sprintf("%q", got) != `["" "" "" "hello" "server"]` {
		t.Errorf("connection 17 has %q", got)
	}
	if !strings.Contains(file.comment, "With secrets") || !strings.Contains(file.comment, "Of 1 connections the last 12 bytes are missing") {
		t.Errorf("comment %q", file.comment)
	}
}

// An error of the writer is the export's.
func TestPCAPNGWriteError(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk full")
	if err := PCAPNG(brokenWriter{broken}, oneMessage("udp", "192.0.2.1:1", "192.0.2.2:2", 1), Options{}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }

// captured is a file as the test's reader sees it.
type captured struct {
	comment, application string
	iface                string
	secrets              []byte
	secretsBefore        int // packets
	packets              []seen
}

type seen struct {
	at       time.Time
	out      bool
	from, to netip.AddrPort
	udp      bool
	seq, ack uint32
	flags    byte
	data     []byte
	comment  string
}

func (c *captured) text() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s\n%s\n%s\n", c.application, c.comment, c.iface)
	for _, p := range c.packets {
		kind := "UDP"
		if !p.udp {
			kind = fmt.Sprintf("TCP %s seq=%d ack=%d", flagWords(p.flags), p.seq, p.ack)
		}
		way := "in "
		if p.out {
			way = "out"
		}
		fmt.Fprintf(&s, "%s %s %v > %v %s len=%d", p.at.UTC().Format("15:04:05.000000000"), way, p.from, p.to, kind, len(p.data))
		if line, _, ok := strings.Cut(string(p.data), "\r\n"); ok {
			s.WriteString(" " + line)
		}
		s.WriteString("\n")
		if p.comment != "" {
			s.WriteString("\t" + strings.ReplaceAll(p.comment, "\n", "\n\t") + "\n")
		}
	}
	return s.String()
}

func flagWords(f byte) string {
	var words []string
	for i, w := range []string{"FIN", "SYN", "RST", "PSH", "ACK"} {
		if f&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, "+")
}

// readPCAPNG reads a file of one section, and fails for whatever is not as the format has it.
func readPCAPNG(t *testing.T, b []byte) *captured {
	t.Helper()
	c := &captured{}
	for n := 0; len(b) > 0; n++ {
		if len(b) < 12 {
			t.Fatalf("block %d: %d bytes left", n, len(b))
		}
		kind, length := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if length%4 != 0 || int(length) > len(b) || binary.LittleEndian.Uint32(b[length-4:]) != length {
			t.Fatalf("block %d: length %d", n, length)
		}
		body := b[8 : length-4]
		b = b[length:]
		if (n == 0) != (kind == 0x0A0D0D0A) {
			t.Fatalf("block %d is of type %#x", n, kind)
		}
		switch kind {
		case 0x0A0D0D0A:
			if binary.LittleEndian.Uint32(body) != 0x1A2B3C4D || binary.LittleEndian.Uint32(body[4:]) != 1 {
				t.Fatalf("section begins with % x", body[:8])
			}
			o := optionsOf(t, body[16:])
			c.comment, c.application = o[1], o[4]
		case 1:
			if binary.LittleEndian.Uint16(body) != 101 {
				t.Fatalf("link type %d", binary.LittleEndian.Uint16(body))
			}
			o := optionsOf(t, body[8:])
			if o[9] != "\x09" {
				t.Fatalf("resolution %q", o[9])
			}
			c.iface = o[2] + ": " + o[3]
		case 0x0A:
			size := binary.LittleEndian.Uint32(body[4:])
			if string(body[:4]) != "KSLT" || int(size) > len(body)-8 {
				t.Fatalf("secrets of type %q, %d bytes", body[:4], size)
			}
			c.secrets, c.secretsBefore = body[8:8+size], len(c.packets)
		case 6:
			size := binary.LittleEndian.Uint32(body[12:])
			ns := uint64(binary.LittleEndian.Uint32(body[4:]))<<32 | uint64(binary.LittleEndian.Uint32(body[8:]))
			o := optionsOf(t, body[20+(size+3)/4*4:])
			p := packetOf(t, body[20:20+size])
			p.at, p.out, p.comment = time.Unix(0, int64(ns)), o[2] == "\x02\x00\x00\x00", o[1]
			c.packets = append(c.packets, p)
		default:
			t.Fatalf("block %d is of type %#x", n, kind)
		}
	}
	return c
}

func optionsOf(t *testing.T, b []byte) map[int]string {
	t.Helper()
	o := map[int]string{}
	for {
		code, n := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
		if code == 0 {
			if n != 0 || len(b) != 4 {
				t.Fatalf("options end with % x", b)
			}
			return o
		}
		o[code] = string(b[4 : 4+n])
		b = b[4+(n+3)/4*4:]
	}
}

// packetOf takes an IP packet apart and checks lengths and checksums. It adds them up in its own way.
func packetOf(t *testing.T, b []byte) seen {
	t.Helper()
	sum := func(b []byte) uint16 {
		var s uint32
		for i, v := range b {
			s += uint32(v) << (8 * (1 - i%2))
			s = s&0xFFFF + s>>16
		}
		return uint16(s)
	}
	var p seen
	var src, dst netip.Addr
	var proto byte
	var rest []byte
	switch b[0] >> 4 {
	case 4:
		if int(binary.BigEndian.Uint16(b[2:])) != len(b) || sum(b[:20]) != 0xFFFF {
			t.Fatalf("IPv4 header % x of a packet of %d bytes", b[:20], len(b))
		}
		src, dst, proto, rest = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])), b[9], b[20:]
	case 6:
		if int(binary.BigEndian.Uint16(b[4:])) != len(b)-40 {
			t.Fatalf("IPv6 header % x of a packet of %d bytes", b[:40], len(b))
		}
		src, dst, proto, rest = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:])), b[6], b[40:]
	}
	pseudo := append(append(src.AsSlice(), dst.AsSlice()...), 0, proto)
	pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(rest)))
	if got := sum(append(pseudo, rest...)); got != 0xFFFF {
		t.Fatalf("protocol %d: the checksum is wrong by %#x", proto, ^got)
	}
	p.from, p.to = netip.AddrPortFrom(src, binary.BigEndian.Uint16(rest)), netip.AddrPortFrom(dst, binary.BigEndian.Uint16(rest[2:]))
	if p.udp = proto == 17; p.udp {
		if int(binary.BigEndian.Uint16(rest[4:])) != len(rest) {
			t.Fatalf("UDP header % x of %d bytes", rest[:8], len(rest))
		}
		p.data = rest[8:]
		return p
	}
	p.seq, p.ack, p.flags = binary.BigEndian.Uint32(rest[4:]), binary.BigEndian.Uint32(rest[8:]), rest[13]
	p.data = rest[rest[12]>>4*4:]
	return p
}
