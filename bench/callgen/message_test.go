//go:build linux

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

const answer = "SIP/2.0 200 OK\r\n" +
	"Via: SIP/2.0/TLS 127.0.0.2:4000;branch=z9hG4bKi1\r\n" +
	"v: SIP/2.0/TLS 127.0.0.2:4001;branch=z9hG4bKi2\r\n" +
	"Record-Route: <sip:b@192.0.2.2;lr,x>, <sip:192.0.2.1;lr>\r\n" +
	"record-route:<sip:192.0.2.0;lr>\r\n" +
	"From: \"A, B\" <sip:a@192.0.2.9>;tag=f1\r\n" +
	"To : <sip:b@192.0.2.9>;tag=a2;x=y\r\n" +
	"Call-ID: 00000000000000ff-ab\r\n" +
	"CSeq: 1 INVITE\r\n" +
	"Contact: \"B\" <sip:b@192.0.2.8:5071;transport=tls>;q=1\r\n" +
	"Content-Length: 4\r\n\r\n"

func TestIndexFindsWhatTheDriverNeeds(t *testing.T) {
	var m message
	length, err := m.index([]byte(answer))
	if err != nil || length != 4 {
		t.Fatalf("length %d, error %v", length, err)
	}
	if m.kind != kindResponse || m.status != 200 || m.cseq != kindInvite || m.vias != 2 {
		t.Errorf("kind %d, status %d, CSeq method %d, %d Vias", m.kind, m.status, m.cseq, m.vias)
	}
	var routes []string
	for _, v := range m.record[:m.records] {
		routes = append(routes, string(m.at(v)))
	}
	if want := []string{"<sip:b@192.0.2.2;lr,x>", "<sip:192.0.2.1;lr>", "<sip:192.0.2.0;lr>"}; !slices.Equal(routes, want) {
		t.Errorf("route set %q, want %q", routes, want)
	}
	for what, pair := range map[string][2]string{
		"contact": {string(m.at(m.contact)), "sip:b@192.0.2.8:5071;transport=tls"},
		"to tag":  {string(tag(m.at(m.to))), "a2"},
		"call id": {string(m.at(m.callID)), "00000000000000ff-ab"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s %q, want %q", what, pair[0], pair[1])
		}
	}
}

func TestAckFollowsTheRouteSetInReverse(t *testing.T) {
	var m message
	if _, err := m.index([]byte(answer)); err != nil {
		t.Fatal(err)
	}
	x := newText("tls", "caller", "127.0.0.2:4000", "127.0.0.2")
	got := string(x.inDialog(nil, &m, 255, "-ab", "ACK", "1", 'a'))
	if !strings.HasPrefix(got, "ACK sip:b@192.0.2.8:5071;transport=tls SIP/2.0\r\n") {
		t.Errorf("request line of\n%s", got)
	}
	want := "Route: <sip:192.0.2.0;lr>\r\nRoute: <sip:192.0.2.1;lr>\r\nRoute: <sip:b@192.0.2.2;lr,x>\r\n"
	if !strings.Contains(got, want) || !strings.Contains(got, "CSeq: 1 ACK\r\n") || !strings.Contains(got, ";tag=a2;x=y\r\n") {
		t.Errorf("route set, CSeq or tag of\n%s", got)
	}
}

// Every way to cut the stream gives the same messages.
func TestNextFramesAtEveryCut(t *testing.T) {
	x := newText("tcp", "caller", "127.0.0.2:4000", "127.0.0.2")
	stream := slices.Concat([]byte("\r\n\r\n"), []byte(answer+"abcd"),
		x.invite(nil, 7, "sip:1@192.0.2.1", "-r", "<sip:c@192.0.2.2>", "<sip:1@192.0.2.1>"), []byte("\r\n"))
	for cut := range stream {
		var kinds []kind
		var buf []byte
		for _, part := range [][]byte{stream[:cut], stream[cut:]} {
			buf = append(buf, part...)
			for len(buf) > 0 {
				var m message
				n, err := m.next(buf)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					break
				}
				if m.raw != nil {
					kinds = append(kinds, m.kind)
				}
				buf = buf[n:]
			}
		}
		if !slices.Equal(kinds, []kind{kindResponse, kindInvite}) || len(buf) != 0 {
			t.Fatalf("cut at %d: messages %v, %d bytes left", cut, kinds, len(buf))
		}
	}
	var m message
	if _, err := m.next([]byte("BYE sip:a SIP/2.0\r\nCall-ID: x\r\n\r\n")); err == nil {
		t.Error("a message without Content-Length was taken from a stream")
	}
}

func TestInviteIsTheMessageOfTheComparison(t *testing.T) {
	x := newText("tls", "caller", "127.0.0.2:40000", "127.0.0.2")
	b := x.invite(nil, 1<<60, "sip:+4930123456@127.0.0.1:5061;transport=tls", "-0123456789", "<sip:caller@127.0.0.2:40000>", "<sip:+4930123456@127.0.0.1:5061>")
	head, body, _ := bytes.Cut(b, crlfcrlf)
	if n := bytes.Count(head, []byte("\r\n")); n != 14 {
		t.Errorf("%d headers, want 14", n)
	}
	if len(b) < 1100 || len(b) > 1300 {
		t.Errorf("%d bytes, want about 1,200", len(b))
	}
	var m message
	if length, err := m.index(b); err != nil || length != len(body) {
		t.Errorf("Content-Length %d, body %d, error %v", length, len(body), err)
	}
	if n, ok := parseHex(m.at(m.callID)); !ok || n != 1<<60 {
		t.Errorf("number %x from Call-ID %q", n, m.at(m.callID))
	}
}

// An element that turns ACK and BYE round is found out.
func TestAnswererSeesByeBeforeAck(t *testing.T) {
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	a := newAnswerer(l, "tcp", "127.0.0.3:1", "127.0.0.3")
	k := &deaf{}
	for _, method := range []string{"INVITE", "INVITE", "BYE", "ACK", "BYE"} {
		var m message
		if _, err := m.index([]byte(method + " sip:b SIP/2.0\r\nVia: v\r\nFrom: f\r\nTo: t\r\nCall-ID: c\r\nCSeq: 1 " + method + "\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		a.handle(k, &m)
	}
	if c := a.counts; c.outOfOrder != 1 || c.repeated != 2 || c.invites != 1 {
		t.Errorf("out of order %d, repeated %d, invites %d; want 1, 2, 1", c.outOfOrder, c.repeated, c.invites)
	}
}

// deaf is a link that keeps what is written to it.
type deaf struct{ out []byte }

func (d *deaf) fd() int       { return -1 }
func (d *deaf) open() []byte  { return d.out }
func (d *deaf) done(b []byte) { d.out = b }
func (d *deaf) ready() error  { return nil }
func (d *deaf) flush() error  { return nil }
func (d *deaf) waiting() bool { return false }
func (d *deaf) mark() bool    { return false }

func TestQuantilesAreWithinAPerCent(t *testing.T) {
	var h histogram
	for i := 1; i <= 100000; i++ {
		h.record(time.Duration(i) * time.Microsecond)
	}
	for _, q := range []float64{0.001, 0.5, 0.99, 1} {
		want := time.Duration(q*100000) * time.Microsecond
		got := h.quantile(q)
		if got < want || float64(got) > 1.01*float64(want) {
			t.Errorf("quantile %v is %v, want %v to one per cent more", q, got, want)
		}
	}
	var empty histogram
	if got := empty.quantile(0.5); got != 0 {
		t.Errorf("median of nothing is %v", got)
	}
}

func TestBucketsMeet(t *testing.T) {
	for i := range 20 * sub {
		if got := bucket(upper(i)); got != i {
			t.Fatalf("upper end of bucket %d falls into %d", i, got)
		}
		if got := bucket(upper(i) + 1); got != i+1 {
			t.Fatalf("what follows bucket %d falls into %d", i, got)
		}
	}
}
