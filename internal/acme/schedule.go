package acme

import (
	"context"
	"crypto/x509"
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait after so many failures in a row: a minute, and each time three times as long, up to six
// hours. So there are five tries in the first hour, which is what Let's Encrypt lets fail in one.
func Backoff(failures int) time.Duration {
	const longest = 6 * time.Hour
	wait := time.Minute
	for range failures - 1 {
		if wait *= 3; wait >= longest {
			return longest
		}
	}
	return wait
}

const (
	// Without a word of the CA, a certificate is renewed when a third of its time is left.
	partLeft = 3
	// askAgain is how often a CA is asked when it wants a certificate to be renewed, when it does not say how often.
	askAgain = 6 * time.Hour
	// soonest and latest bound what it says (RFC 9773 §4.3.2).
	soonest, latest = time.Minute, 24 * time.Hour
)

// window is when the CA wants a certificate to be renewed (RFC 9773 §4.2): before it revokes many at once, for example.
type window struct {
	start, end time.Time // as the CA said; zero when it did not
	at         time.Time // the moment in between that was drawn
	asked      time.Time // when it was asked last
	every      time.Duration
	issued     time.Time // when the certificate came, zero when it was there before
}

// ask asks the CA, if that is due. A CA that does not answer, or does not know of such questions, changes nothing.
func (w *window) ask(ctx context.Context, ca CA, leaf *x509.Certificate) {
	if !w.asked.IsZero() && time.Since(w.asked) < w.again() {
		return
	}
	w.asked, w.every = time.Now(), askAgain
	start, end, again, err := ca.Window(ctx, leaf)
	if err != nil || !start.Before(end) {
		return
	}
	if again > 0 {
		w.every = min(max(again, soonest), latest)
	}
	if start.Equal(w.start) && end.Equal(w.end) {
		return // drawn already
	}
	w.start, w.end = start, end
	w.at = start.Add(time.Duration(rand.Int64N(int64(end.Sub(start)))))
}

// again is after how long to ask again.
func (w *window) again() time.Duration {
	if w.every == 0 {
		return askAgain
	}
	return w.every
}

// due is when the certificate is to be renewed: when the CA says so, but not so late that nothing would be left, nor at
// once after it has come, or a CA that names a time in the past would be asked without end.
func (w *window) due(leaf *x509.Certificate) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	due := leaf.NotAfter.Add(-life / partLeft)
	if w.at.IsZero() {
		return due
	}
	if last := leaf.NotAfter.Add(-life / 20); w.at.After(last) {
		return last
	}
	if first := w.issued.Add(min(life/20, time.Hour)); w.at.Before(first) {
		return first
	}
	return w.at
}
