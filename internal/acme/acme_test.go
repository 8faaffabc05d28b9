package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
)

// fakeCA issues what it is asked for, unless it is told otherwise.
type fakeCA struct {
	mu     sync.Mutex
	ca     *testca.CA
	life   time.Duration
	issued []time.Time // when
	asked  []time.Time // for the window
	fail   error
	change func(*x509.Certificate) // what is wrong with what it issues
	other  bool                    // for another key
	window func(leaf *x509.Certificate) (start, end time.Time, again time.Duration, err error)
	slow   time.Duration
}

func (c *fakeCA) Issue(ctx context.Context, csr *x509.CertificateRequest) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(c.slow):
	}
	if c.fail != nil {
		return nil, c.fail
	}
	c.issued = append(c.issued, time.Now())
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(len(c.issued))), DNSNames: csr.DNSNames, NotBefore: time.Now(), NotAfter: time.Now().Add(c.life)}
	if c.change != nil {
		c.change(template)
	}
	key := csr.PublicKey
	if c.other {
		k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		key = k.Public()
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.ca.Cert, key, c.ca.Key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), c.ca.PEM()...), nil
}

func (c *fakeCA) Window(_ context.Context, leaf *x509.Certificate) (start, end time.Time, again time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, time.Now())
	if c.window == nil {
		return start, end, 0, errors.New("it knows of no such thing")
	}
	return c.window(leaf)
}

func (c *fakeCA) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// bench is a Keeper with a CA, in a bubble.
type bench struct {
	*testing.T
	*Keeper
	ca      *fakeCA
	order   Order
	mu      sync.Mutex
	last    Status
	reports int
	changed int
	start   time.Time
}

const days = 24 * time.Hour

func keep(t *testing.T, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, ca: &fakeCA{ca: testca.New("Fake CA"), life: 90 * days}, start: time.Now()}
		b.order = Order{Identity: "us", Domains: []string{"a.example", "b.example"}, File: filepath.Join(t.TempDir(), "identities", "us.pem"), Issuer: Settings{CA: "https://ca.example/dir"}}
		b.Keeper = New(Options{
			Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
			Changed: func(string) { b.mu.Lock(); b.changed++; b.mu.Unlock() },
			Report:  func(s Status) { b.mu.Lock(); b.last = s; b.reports++; b.mu.Unlock() },
			Issue:   func(Settings) (CA, error) { return b.ca, nil },
		})
		defer b.Close()
		f(b)
	})
}

func (b *bench) after(d time.Duration) { time.Sleep(d); synctest.Wait() }

func (b *bench) status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// issues wants that so many certificates were issued, the last of them at a time after the start.
func (b *bench) issues(n int, at time.Duration) {
	b.Helper()
	b.ca.mu.Lock()
	defer b.ca.mu.Unlock()
	if len(b.ca.issued) != n {
		b.Fatalf("%d certificates were issued, want %d", len(b.ca.issued), n)
	}
	if got := b.ca.issued[n-1].Sub(b.start); n > 0 && (got < at || got > at+time.Second) {
		b.Errorf("the last one was issued after %v, want %v", got, at)
	}
}

func TestIssueAndRenewWithAThirdLeft(t *testing.T) {
	keep(t, func(b *bench) {
		b.Follow([]Order{b.order})
		b.after(0)
		b.issues(1, 0)
		if s := b.status(); s.Err != nil || !s.NotAfter.Equal(b.start.Add(90*days)) || b.changed != 1 {
			b.Errorf("%+v, %d changes", s, b.changed)
		}
		pair, err := tls.LoadX509KeyPair(b.order.File, b.order.File)
		if err != nil || len(pair.Certificate) != 2 {
			b.Errorf("the file: %v, %d certificates", err, len(pair.Certificate))
		}
		info, _ := os.Stat(b.order.File)
		if dir, _ := os.Stat(filepath.Dir(b.order.File)); info.Mode().Perm() != 0o600 || dir.Mode().Perm() != 0o700 {
			b.Errorf("file %v in %v", info.Mode(), dir.Mode())
		}
		b.after(60*days - time.Hour)
		b.issues(1, 0)
		b.after(time.Hour + time.Second)
		b.issues(2, 60*days)
		if b.changed != 2 {
			b.Errorf("%d changes", b.changed)
		}
	})
}

// What is there already is used, also by the next process.
func TestCertificateThatIsThere(t *testing.T) {
	keep(t, func(b *bench) {
		b.Follow([]Order{b.order})
		b.after(days)
		b.Close()
		again := New(b.options)
		defer again.Close()
		again.Follow([]Order{b.order})
		b.after(58 * days)
		b.issues(1, 0)
		b.after(days + time.Second)
		b.issues(2, 60*days)
	})
}

func TestWindowOfTheCA(t *testing.T) {
	for _, tt := range []struct {
		name        string
		from, until time.Duration // of the window, after the start
		first, last time.Duration // when the second certificate may be issued
	}{
		{"earlier", 10 * days, 12 * days, 10 * days, 12*days + time.Second},
		{"later", 70 * days, 72 * days, 70 * days, 72*days + time.Second},
		{"in the past", -2 * days, -days, time.Hour, time.Hour + time.Second},
		{"too late", 95 * days, 99 * days, 90*days - 108*time.Hour, 90*days - 108*time.Hour + time.Second},
		{"backwards", 20 * days, 10 * days, 60 * days, 60*days + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keep(t, func(b *bench) {
				b.ca.window = func(leaf *x509.Certificate) (time.Time, time.Time, time.Duration, error) {
					if leaf.SerialNumber.Int64() > 1 {
						return time.Time{}, time.Time{}, 0, errors.New("not about this one")
					}
					return b.start.Add(tt.from), b.start.Add(tt.until), 6 * time.Hour, nil
				}
				b.Follow([]Order{b.order})
				b.after(tt.first - time.Second)
				if tt.first > time.Second {
					b.issues(1, 0)
				}
				b.after(tt.last - tt.first + 2*time.Second)
				b.ca.set(func() {
					if n := len(b.ca.issued); n != 2 {
						t.Errorf("%d certificates", n)
					}
				})
			})
		})
	}
}

// A CA is asked as often as it says, within bounds, and may change its mind.
func TestWindowThatMoves(t *testing.T) {
	for _, tt := range []struct{ says, means time.Duration }{{time.Hour, time.Hour}, {time.Millisecond, time.Minute}, {1000 * days, days}, {0, 6 * time.Hour}} {
		keep(t, func(b *bench) {
			move := time.Duration(0)
			b.ca.window = func(*x509.Certificate) (time.Time, time.Time, time.Duration, error) {
				return b.start.Add(40*days - move), b.start.Add(40*days - move + time.Second), tt.says, nil
			}
			b.Follow([]Order{b.order})
			b.after(5 * days)
			b.ca.set(func() {
				if want := int(5*days/tt.means) + 1; len(b.ca.asked) != want {
					t.Errorf("%v: asked %d times, want %d", tt.says, len(b.ca.asked), want)
				}
				move = 34 * days // it revokes soon
			})
			b.issues(1, 0)
			b.after(2 * days)
			b.ca.set(func() {
				if n := len(b.ca.issued); n < 2 {
					t.Errorf("%v: %d certificates after the window has moved", tt.says, n)
				}
			})
		})
	}
}

func TestCAAwayAndBack(t *testing.T) {
	keep(t, func(b *bench) {
		b.ca.fail = errors.New("nobody there")
		b.Follow([]Order{b.order})
		b.after(0)
		for n, wait := range []time.Duration{time.Minute, 3 * time.Minute, 9 * time.Minute, 27 * time.Minute} {
			s := b.status()
			if s.Failures != n+1 || !s.Since.Equal(b.start) || !s.Next.Equal(time.Now().Add(wait)) || s.Err == nil || !s.NotAfter.IsZero() {
				b.Errorf("try %d: %+v at %v", n+1, s, time.Now())
			}
			b.after(wait)
		}
		b.ca.set(func() { b.ca.fail = nil })
		b.Follow([]Order{b.order}) // as a reload does: it asks at once
		b.after(0)
		b.issues(1, 40*time.Minute)
		if s := b.status(); s.Err != nil || s.Failures != 0 || !s.Since.IsZero() {
			b.Errorf("%+v", s)
		}
		// A renewal fails too, while the certificate lasts.
		b.ca.set(func() { b.ca.fail = errors.New("away again") })
		b.after(61 * days)
		if s := b.status(); s.Err == nil || s.NotAfter.IsZero() || time.Until(s.Next) > 6*time.Hour || b.changed != 1 {
			b.Errorf("%+v", s)
		}
		b.ca.set(func() { b.ca.fail = nil })
		b.after(6 * time.Hour)
		if s := b.status(); s.Err != nil || b.changed != 2 {
			b.Errorf("%+v", s)
		}
	})
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{1: time.Minute, 2: 3 * time.Minute, 6: 243 * time.Minute, 7: 6 * time.Hour, 1000000: 6 * time.Hour} {
		if got := Backoff(n); got != want {
			t.Errorf("after %d failures %v, want %v", n, got, want)
		}
	}
}

// A CA that sends something else is not believed, and what was there stays.
func TestWhatACASendsIsLookedAt(t *testing.T) {
	for name, wrong := range map[string]func(*fakeCA){
		"another key":    func(c *fakeCA) { c.other = true },
		"a name missing": func(c *fakeCA) { c.change = func(x *x509.Certificate) { x.DNSNames = x.DNSNames[:1] } },
		"expired":        func(c *fakeCA) { c.change = func(x *x509.Certificate) { x.NotAfter = x.NotBefore.Add(-time.Hour) } },
	} {
		t.Run(name, func(t *testing.T) {
			keep(t, func(b *bench) {
				wrong(b.ca)
				b.Follow([]Order{b.order})
				b.after(0)
				if s := b.status(); s.Err == nil || !strings.HasPrefix(s.Err.Error(), "the CA has sent ") || b.changed != 0 {
					t.Errorf("%+v", s)
				}
				if _, err := os.Stat(b.order.File); err == nil {
					t.Error("it was kept")
				}
			})
		})
	}
}

// Other domains want another certificate, at once; nobody asks for an order that is gone.
func TestFollow(t *testing.T) {
	keep(t, func(b *bench) {
		b.Follow([]Order{b.order})
		b.after(days)
		more := b.order
		more.Domains = []string{"a.example", "c.example"}
		b.Follow([]Order{more})
		b.after(0)
		b.issues(2, days)
		b.Follow(nil)
		b.after(100 * days)
		b.issues(2, days)
		b.Follow([]Order{b.order}) // what is there has expired, and is for others
		b.after(0)
		b.issues(3, 101*days)
	})
}

// Whoever closes while a CA thinks does not wait for it.
func TestCloseUnderWay(t *testing.T) {
	keep(t, func(b *bench) {
		b.ca.slow = time.Hour
		b.Follow([]Order{b.order})
		b.after(time.Second)
		if n := b.asking["a.example"]; n != 1 {
			b.Errorf("%d orders ask about the domain", n)
		}
		began := time.Now()
		b.Close()
		if d := time.Since(began); d > time.Second {
			b.Errorf("it took %v", d)
		}
		if len(b.asking) > 0 {
			b.Errorf("asking still: %v", b.asking)
		}
		b.Follow([]Order{b.order}) // does nothing any more
		if _, err := b.Challenge(&tls.ClientHelloInfo{ServerName: "a.example"}); err == nil {
			b.Error("a challenge was answered")
		}
	})
}

func TestFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"empty": "", "text": "hello", "half": string(testca.New("CA").PEM())} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if h, err := load(file); err == nil {
			t.Errorf("%s: %v", name, h)
		}
	}
	if _, err := load(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestIssuerNeedsWhatItIsGiven(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.pem")
	if err := os.WriteFile(bad, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := new(shared)
	defer s.close()
	for want, in := range map[string]Settings{
		"no such file":            {CA: "https://ca.example", CARoot: filepath.Join(dir, "none.pem"), HTTP: ":80"},
		"there is no certificate": {CA: "https://ca.example", CARoot: bad, HTTP: ":80"},
		"no TLS listener is open": {CA: "https://ca.example"},
	} {
		if _, err := s.issuer(dir, in); err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
