package gateway

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

const day = 24 * time.Hour

// severityOf returns that of an alarm, empty when there is none of that name.
func (r *rig) severityOf(name string) Severity {
	synctest.Wait()
	for _, a := range r.Alarms() {
		if a.Name == name {
			return a.Severity
		}
	}
	return ""
}

// lines counts the lines of the log about what ends of a kind.
func (r *rig) lines(kind EndingKind) int {
	return len(regexp.MustCompile(`(?m)msg="[^"]*" kind=`+string(kind)+` name=`).FindAllString(r.log.String(), -1))
}

// The clock goes to the end of our certificate, of a trusted one, and of a peer's:
// the log has one line at each threshold, and the alarm becomes more urgent.
func TestCalendarWarns(t *testing.T) {
	run(t, setting{shards: 1, office: transport.TLS, targets: transport.TLS}, func(r *rig) {
		whole := func(days time.Duration) testca.Option { return testca.Valid(-400*day, days*day+time.Minute) }
		gw := r.ca.Leaf("gw.example", whole(100))
		root := testca.New("old CA", whole(300))
		r.write(r.dir, "gw.pem", gw.PEM())
		r.write(r.dir, "gw-key.pem", gw.KeyPEM())
		r.write(r.dir, "ca.pem", append(r.ca.PEM(), root.PEM()...))
		r.takes()
		office := siptest.New(r.T, siptest.Config{Name: "office", Transport: transport.TLS, Network: r.net, Addr: addrPort("192.0.2.10:5090"),
			TLS: r.tlsWith(root.Leaf("office.example", whole(200)))})
		office.Dial(r.listener(transport.TLS))
		synctest.Wait()

		began := time.Now()
		at := func(after time.Duration) { // an hour later, so that it was looked at
			time.Sleep(time.Until(began.Add(after + time.Hour)))
			synctest.Wait()
		}
		for _, kind := range []struct {
			kind EndingKind
			name string
			ends time.Duration
		}{{OwnCertificate, "own gateway", 100}, {PeerCertificate, "peer office", 200}, {TrustedCertificate, "trust partners", 300}} {
			alarm := "certificate " + kind.name
			for i, step := range []struct {
				left time.Duration
				want Severity
			}{{61, ""}, {60, Notice}, {45, Notice}, {30, Notice}, {14, Warning}, {7, Warning}, {1, Critical}, {0, Critical}} {
				at((kind.ends - step.left) * day)
				if kind.kind == TrustedCertificate { // beside it is the test's own CA, which lives two days
					continue
				}
				if got := r.severityOf(alarm); got != step.want {
					t.Errorf("%s, %d days before the end: alarm is %q, want %q", kind.name, step.left, got, step.want)
				}
				if got, want := r.lines(kind.kind), []int{0, 1, 1, 2, 3, 4, 5, 6}[i]; got != want {
					t.Errorf("%s, %d days before the end: %d lines, want %d", kind.name, step.left, got, want)
				}
			}
			at((kind.ends + 20) * day)
			if text := r.alarm(alarm); !strings.Contains(text, "expired on") {
				t.Errorf("%s: alarm after the end is %q", kind.name, text)
			}
		}
		if got := r.lines(TrustedCertificate); got != 6+2 { // six of the old CA, two of the test's own, which lives two days
			t.Errorf("%d lines about trusted certificates, want 8", got)
		}
		if got := r.lines(OwnCertificate) + r.lines(PeerCertificate); got != 12 {
			t.Errorf("%d lines about our certificate and the peer's, want 12", got)
		}
		office.HangUp()
	})
}

// A renewed certificate ends the alarm at once; one that is renewed often raises
// none before its time.
func TestCalendarAfterARenewal(t *testing.T) {
	run(t, mutual, func(r *rig) {
		put := func(l *testca.Leaf) {
			r.write(r.dir, "gw.pem", l.PEM())
			r.write(r.dir, "gw-key.pem", l.KeyPEM())
			r.takes()
			synctest.Wait()
		}
		put(r.ca.Leaf("gw.example", testca.Valid(-360*day, 5*day)))
		if got := r.severityOf("certificate own gateway"); got != Warning {
			t.Errorf("5 days before the end: %q", got)
		}
		put(r.ca.Leaf("gw.example", testca.Valid(-time.Hour, 365*day)))
		if got := r.severityOf("certificate own gateway"); got != "" {
			t.Errorf("after the renewal: %q", got)
		}
		for left, want := range map[time.Duration]Severity{20 * day: "", 13 * day: Warning} {
			put(r.ca.Leaf("gw.example", testca.Valid(left-47*day, left)))
			if got := r.severityOf("certificate own gateway"); got != want {
				t.Errorf("a certificate of 47 days with %v left: %q, want %q", left, got, want)
			}
		}
	})
}

// A CRL that nobody renews is spoken of before it is stale.
func TestCalendarHasCRLs(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.write(r.dir, "ca.crl", r.ca.CRL(nil))
		r.rewrite("{files: [ca.pem]}", "{files: [ca.pem], crls: [ca.crl]}")
		r.takes()
		for _, step := range []struct {
			sleep time.Duration
			want  Severity
			text  string
		}{
			{16 * time.Hour, "", ""},
			{4 * time.Hour, Warning, "a CRL of trust partners becomes stale in 4 hours"},
			{5 * time.Hour, Critical, "a CRL of trust partners is stale since"},
		} {
			time.Sleep(step.sleep)
			if got, text := r.severityOf("crl partners"), r.alarm("crl partners"); got != step.want || !strings.Contains(text, step.text) {
				t.Errorf("got %q: %s; want %q: %s", got, text, step.want, step.text)
			}
		}
		r.write(r.dir, "ca.crl", r.ca.CRL(nil))
		r.takes()
		if got := r.alarm("crl partners"); got != "" {
			t.Errorf("after a new CRL: %s", got)
		}
	})
}

// Everything that ends is listed by when it ends, with where it is used.
func TestEndings(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.answered()
		r.hangUp(r.office, r.acme)
		var got []string
		for _, e := range r.Endings() {
			got = append(got, fmt.Sprintf("%s %s: %s, used by %s", e.Kind, e.Name, e.Subject, strings.Join(e.Used, ", ")))
		}
		want := []string{
			"trust partners: CN=test CA, used by listener tls, peer office, peer acme, peer backup",
			"own gateway: CN=gw.example, used by listener tls, peer office, peer acme, peer backup",
			"peer office: CN=office.example, used by peer office",
			"peer acme: CN=acme.example, used by peer acme",
		}
		for _, w := range want {
			if !strings.Contains(strings.Join(got, "\n")+"\n", w+"\n") {
				t.Errorf("there is no %q", w)
			}
		}
		if len(got) != len(want) {
			t.Errorf("got %q", got)
		}
	})
}

// When a certificate is spoken of hangs on how long it lives, and on whether we renew it.
func TestThresholds(t *testing.T) {
	const all = " 14d:warning 7d:warning 1d:critical 0d:critical"
	for _, test := range []struct {
		lives time.Duration
		acme  bool
		want  string
	}{
		{398 * day, false, " 60d:notice 30d:notice" + all},
		{398 * day, true, " 60d:notice 30d:notice" + all},
		{180*day - time.Second, false, " 60d:notice 30d:notice" + all},
		{170 * day, false, " 30d:notice" + all},
		{90 * day, false, " 30d:notice" + all},
		{90*day - time.Second, false, " 30d:notice" + all}, // as public CAs make them
		{90*day - time.Second, true, all},                  // renewed when 30 days are left
		{47 * day, false, all},
		{47 * day, true, all},
		{45*day - time.Second, true, all}, // renewed when 15 days are left
		{160 * time.Hour, false, " 1d:critical 0d:critical"},
		{160 * time.Hour, true, " 1d:critical 0d:critical"},
		{48 * time.Hour, false, " 0d:warning 0d:critical"},
		{24 * time.Hour, true, " 0d:warning 0d:critical"},
	} {
		e := Ending{Kind: OwnCertificate, From: time.Now(), Ends: time.Now().Add(test.lives), ACME: test.acme}
		got, last := "", -1
		for left := test.lives; left >= -day; left -= time.Minute {
			at := passedThreshold(&e, e.Ends.Add(-left))
			if at != last {
				got += fmt.Sprintf(" %dd:%v", int((left+time.Hour)/day), thresholds[at].severity)
			}
			last = at
		}
		if got != test.want {
			t.Errorf("lives %v, ACME %v: got%s, want%s", test.lives, test.acme, got, test.want)
		}
	}
}

// A peer that the configuration no longer has, or no longer reaches by TLS, has no certificate that ends, and a stranger
// never had one.
func TestCalendarKnowsPeersOfTheConfiguration(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.answered()
		r.hangUp(r.office, r.acme)
		stranger := r.peer("stranger", transport.TLS, "192.0.2.40:0")
		stranger.Dial(r.listener(transport.TLS))
		synctest.Wait()
		stranger.HangUp()
		peers := func() (got []string) {
			for _, e := range r.Endings() {
				if e.Kind == PeerCertificate {
					got = append(got, e.Name)
				}
			}
			slices.Sort(got)
			return got
		}
		time.Sleep(47 * time.Hour) // of 48
		if got := peers(); !slices.Equal(got, []string{"acme", "office"}) || r.alarm("certificate peer acme") == "" || r.alarm("certificate peer office") == "" {
			t.Errorf("before: %q, alarms %v", got, r.Alarms())
		}
		r.rewrite("  acme: {", "  other: {", "[acme, backup]", "[other, backup]", "[acme, backup]", "[other, backup]", "acme.example", "other.example",
			"transport=tls\", certificate_names: [office.example]", "transport=tcp\"")
		r.takes()
		if got := peers(); got != nil || r.alarm("certificate peer acme") != "" || r.alarm("certificate peer office") != "" {
			t.Errorf("after: %q, alarms %v", got, r.Alarms())
		}
	})
}
