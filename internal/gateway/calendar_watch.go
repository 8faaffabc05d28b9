package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/store"
)

// lookEvery is how often the calendar is looked at.
const lookEvery = time.Hour

const daily = 24 * time.Hour

// thresholds are how long before its end a certificate is spoken of, the nearest
// first.
var thresholds = []struct {
	left     time.Duration
	severity Severity
}{
	{0, Critical}, {daily, Critical}, {7 * daily, Warning}, {14 * daily, Warning}, {30 * daily, Notice}, {60 * daily, Notice},
}

// counts says whether a threshold does for a certificate. Those that are renewed by
// a program are when a third of their time is left, and are not to be spoken of from
// their first day on: a threshold is no longer than that, give or take a hundredth
// of their time, for a certificate "of 90 days" may end a second before. One that we
// renew is spoken of only when that is overdue.
func (e *Ending) counts(threshold time.Duration) bool {
	life := e.Ends.Sub(e.From)
	if e.ACME {
		return threshold <= life/3-life/100
	}
	return threshold <= life/3+life/100
}

// passedThreshold returns the number of the nearest threshold that is passed, -1 for
// none. CRLs, and certificates that live too short for any, pass two: when less than
// a quarter of their time is left, and their end.
func passedThreshold(e *Ending, now time.Time) int {
	left := e.Left(now)
	if e.Kind == RevocationList || !e.counts(daily) {
		switch {
		case left <= 0:
			return 0
		case left < e.Ends.Sub(e.From)/4:
			return 2
		}
		return -1
	}
	for i, t := range thresholds {
		if left <= t.left && e.counts(t.left) {
			return i
		}
	}
	return -1
}

// calendar is what was said of what ends. Owned by the goroutine of watchCalendar.
type calendar struct {
	told   map[string]int  // by certificate and file, the threshold of which the log has a line
	raised map[string]bool // alarms
}

// watchCalendar looks at what ends until the gateway stops.
func (g *Gateway) watchCalendar() {
	c := calendar{told: make(map[string]int), raised: make(map[string]bool)}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		g.lookAtClock(g.clockDoubt(time.Now()))
		g.lookAtCalendar(&c, time.Now())
		select {
		case <-tick.C:
		case <-g.renewed:
		case <-g.stopping.Done():
			return
		}
	}
}

// lookAtCalendar writes a line for each certificate that has passed a threshold, once,
// and keeps an alarm for each identity, trust and peer with one that has.
func (g *Gateway) lookAtCalendar(c *calendar, now time.Time) {
	told, worst := make(map[string]int), make(map[string]*group)
	for _, e := range g.Endings() {
		at := passedThreshold(&e, now)
		if at < 0 || e.Kind == StapledAnswer { // which has an alarm of its own
			continue
		}
		key := strings.Join([]string{string(e.Kind), e.Name, e.Subject, e.SHA256, e.File}, "\x00")
		if before, known := c.told[key]; !known || at < before {
			g.log.Log(context.Background(), thresholds[at].severity.level(), endingLine(&e, now), "kind", e.Kind, "name", e.Name, "subject", e.Subject,
				"ends", e.Ends.UTC().Format(time.RFC3339), "file", e.File, "used", strings.Join(e.Used, ", "), "remedy", endingRemedy(&e))
			g.tellEnding(&e, now)
		}
		told[key] = at
		name := "certificate " + string(e.Kind) + " " + e.Name
		if e.Kind == RevocationList {
			name = "crl " + e.Name
		}
		if w := worst[name]; w == nil { // what ends first comes first
			worst[name] = &group{first: e, at: at}
		} else {
			w.more++
		}
	}
	c.told = told
	for name := range c.raised {
		if worst[name] == nil {
			g.alarms.clear(name)
			delete(c.raised, name)
		}
	}
	for name, w := range worst {
		text := endingLine(&w.first, now) + ": " + w.first.Subject
		if w.more > 0 {
			text += fmt.Sprintf(" (and %d more there)", w.more)
		}
		g.alarms.raiseAs(thresholds[w.at].severity, name, text, endingRemedy(&w.first))
		c.raised[name] = true
	}
}

// group is what has passed a threshold of one identity, trust or peer.
type group struct {
	first Ending
	at    int // its threshold
	more  int
}

// endingLine says what ends and when.
func endingLine(e *Ending, now time.Time) string {
	what := map[EndingKind]string{
		OwnCertificate: "a certificate of identity %s", TrustedCertificate: "a certificate of trust %s", PeerCertificate: "the certificate of peer %s",
		RevocationList: "a CRL of trust %s", StapledAnswer: "the OCSP answer of identity %s",
	}[e.Kind]
	verb, end := "expires", "expired"
	if e.Kind == RevocationList {
		verb, end = "becomes stale", "is stale since"
	}
	if e.Left(now) <= 0 {
		if e.Kind == RevocationList {
			return fmt.Sprintf(what+" %s %s", e.Name, end, e.Ends.UTC().Format("2006-01-02 15:04 UTC"))
		}
		return fmt.Sprintf(what+" %s on %s", e.Name, end, e.Ends.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return fmt.Sprintf(what+" %s in %s", e.Name, verb, DaysLeft(e.Left(now)))
}

// DaysLeft is a time in whole days, in hours below two of them: "1 hour", "13 days".
func DaysLeft(left time.Duration) string {
	n, unit := int(left/daily), "day"
	if left < 2*daily {
		n, unit = int(left/time.Hour), "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// endingRemedy says what to do about it.
func endingRemedy(e *Ending) string {
	switch e.Kind {
	case OwnCertificate:
		if e.ACME {
			return "see the alarm acme " + e.Name + " for why it was not renewed yet; sallyport reload has the CA asked at once"
		}
		return "have the certificate renewed and put it into " + e.File + ": it is taken without a restart"
	case TrustedCertificate:
		return "get the new certificate from " + e.Issuer + " and add it to trust " + e.Name + ", then remove the old one from " + e.File
	case PeerCertificate:
		return "tell the people of peer " + e.Name + ": calls with it fail from then on"
	}
	return "put the next CRL of " + e.Issuer + " into " + e.File + ": policies with revocation: hard refuse its certificates when it is stale"
}

// rememberChains reads what the peers showed before this start.
func (g *Gateway) rememberChains(data string) {
	if g.store == nil {
		return
	}
	var err error
	if g.earlier, err = store.LastChains(data); err != nil {
		g.log.Warn("what peers showed before this start is not known", "cause", err)
	}
}
