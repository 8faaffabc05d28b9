package trust

import (
	"crypto/x509"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// Built returns when the source of this program was last changed, as far as the program knows: its clock was not before that. Zero when
// it does not.
var Built = sync.OnceValue(func() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return t
			}
		}
	}
	return time.Time{}
})

// ClockDoubt says why the clock of this machine may be wrong at the moment now, in words; empty when nothing says so. The program is as old
// as built, and own are our own certificates.
func ClockDoubt(now, built time.Time, own []*x509.Certificate) string {
	if !built.IsZero() && now.Before(built) {
		return fmt.Sprintf("here it is %s, and this program was made only on %s", minute(now), minute(built))
	}
	for _, c := range own {
		if now.Before(c.NotBefore) {
			return fmt.Sprintf("here it is %s, and our own certificate %s begins only on %s", minute(now), Subject(c), minute(c.NotBefore))
		}
	}
	return ""
}

// Own returns the certificates of all identities.
func (s *Set) Own() []*x509.Certificate {
	var all []*x509.Certificate
	for _, id := range s.identities {
		if id != nil && len(id.Chain) > 0 {
			all = append(all, id.Chain[0])
		}
	}
	return all
}

// ourClock is what may lie behind it that we find a certificate out of its time. It is ours, and never certain.
func (f *Facts) ourClock(code Code) []Verdict {
	if f.Wire.Clock == "" || code != Expired && code != NotYetValid {
		return nil
	}
	v := Verdict{By: byGateway, KnownBy: Inferred, Code: ClockWrong}
	v.Reason, v.Remedy = words{detail: f.Wire.Clock}.say(ClockWrong)
	return []Verdict{v}
}

// AtOnce words the evidence that the certificates of many peers are out of their time at once.
func AtOnce(peers []string, code Code) string {
	what := "expired"
	if code == NotYetValid {
		what = "not yet valid"
	}
	return fmt.Sprintf("the certificates of %d peers are %s at once by the clock here: %s", len(peers), what, strings.Join(peers, ", "))
}
