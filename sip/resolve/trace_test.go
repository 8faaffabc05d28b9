package resolve

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// told walks a query to its end and returns what Trace was told, one line each.
func (r *rig) told(q Query) (lines []string) {
	q.Trace = func(e Event) {
		switch {
		case e.Question == "":
			lines = append(lines, "> "+e.Choice)
		case e.Err != nil:
			lines = append(lines, e.Question+": "+e.Err.Error())
		default:
			lines = append(lines, e.Question+": "+strings.Join(e.Records, " | "))
		}
	}
	for w := r.Walk(q); ; {
		if _, err := w.Next(context.Background()); err != nil {
			if !errors.Is(err, ErrEnd) {
				lines = append(lines, "error: "+err.Error())
			}
			return lines
		}
	}
}

// TestTrace: each question, its answer and each choice are told in the order in which they were made.
func TestTrace(t *testing.T) {
	const zone = `
example.com. 60 IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.example.com.
_sips._tcp.example.com. 60 IN SRV 10 0 5061 a.example.com.
_sips._tcp.example.com. 60 IN SRV 20 0 5071 b.example.com.
a.example.com. 60 IN A 192.0.2.1
a.example.com. 60 IN A 192.0.2.2
b.example.com. 60 IN A 192.0.2.3
bare.example.com. 60 IN A 192.0.2.4`
	for _, tt := range []struct {
		name  string
		query Query
		want  []string // the beginning of each line
	}{
		{"NAPTR and SRV", Query{Host: "example.com", Secure: true, Family: IPv4}, []string{
			`NAPTR example.com: 10 10 "s" "SIPS+D2T" "" _sips._tcp.example.com`,
			"> NAPTR leads to tls by _sips._tcp.example.com",
			"SRV _sips._tcp.example.com: 10 0 5061 a.example.com | 20 0 5071 b.example.com",
			"> SRV leads over tls to a.example.com:5061, then b.example.com:5071,",
			"A a.example.com: 192.0.2.1 | 192.0.2.2",
			"> the addresses of a.example.com are tried in this order: 192.0.2.1, then 192.0.2.2",
			"A b.example.com: 192.0.2.3",
		}},
		{"nothing but an address", Query{Host: "bare.example.com", Transport: "tls"}, []string{
			"SRV _sips._tcp.bare.example.com: ",
			"> no SRV record: the host itself on the usual port, tls 5061",
			"A bare.example.com: 192.0.2.4",
			"AAAA bare.example.com: ",
		}},
		{"a port", Query{Host: "bare.example.com", Port: 5080, Transport: "tcp", Family: IPv4}, []string{
			"> a port is written, so neither NAPTR nor SRV is asked for (RFC 3263 §4.2): tcp on port 5080",
			"A bare.example.com: 192.0.2.4",
		}},
		{"an address", Query{Host: "192.0.2.9", Secure: true}, []string{"> the address is written: nothing is looked up, tls goes to port 5061"}},
		{"no such name", Query{Host: "nobody.example.com", Transport: "udp", Family: IPv4}, []string{
			"SRV _sip._udp.nobody.example.com: ", "> no SRV record", "A nobody.example.com: ", "error: resolve nobody.example.com: the name has no addresses",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, zone, func(r *rig) {
				got := r.told(tt.query)
				if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
				}
			})
		})
	}
}

// TestTraceOfSilence: that nobody answers is told as that, and not as an empty answer.
func TestTraceOfSilence(t *testing.T) {
	run(t, "", func(r *rig) {
		r.first.Silent()
		r.second.Silent()
		got := r.told(Query{Host: "example.com", Secure: true, Family: IPv4})
		want := []string{"NAPTR example.com: name server ", "> nobody answers for NAPTR; ", "SRV _sips._tcp.example.com: ", "error: resolve example.com: SRV "}
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("got %q", got)
		}
	})
}
