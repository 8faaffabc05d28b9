package memnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var home = netip.MustParseAddrPort("127.0.0.1:0")

func connect(t *testing.T, opt Options) (client, server net.Conn) {
	t.Helper()
	n := New(opt)
	l, err := n.Listen(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	client, err = n.Dial(t.Context(), netip.AddrPort{}, l.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	return client, server
}

func TestStreamCarriesBytesAcrossWrites(t *testing.T) {
	client, server := connect(t, Options{})
	for _, s := range []string{"a", "bc", "def"} {
		if _, err := client.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	p := make([]byte, 16)
	n, err := server.Read(p)
	if string(p[:n]) != "abcdef" || err != nil {
		t.Errorf("got %q, %v, want abcdef", p[:n], err)
	}
	if got, want := server.RemoteAddr().String(), client.LocalAddr().String(); got != want {
		t.Errorf("remote address %s, want %s", got, want)
	}
}

func TestHalfCloseLetsTheOtherDirectionGoOn(t *testing.T) {
	client, server := connect(t, Options{})
	client.Write([]byte("question"))
	client.(*Conn).CloseWrite()
	if got, err := io.ReadAll(server); string(got) != "question" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	server.Write([]byte("answer"))
	server.Close()
	if got, err := io.ReadAll(client); string(got) != "answer" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after CloseWrite: %v, want net.ErrClosed", err)
	}
}

func TestWriteToAClosedStreamIsEPIPE(t *testing.T) {
	client, server := connect(t, Options{})
	server.Close()
	if _, err := client.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v, want EPIPE", err)
	}
	if err := server.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second close: %v, want net.ErrClosed", err)
	}
}

func TestResetThrowsAwayWhatWasNotRead(t *testing.T) {
	client, server := connect(t, Options{})
	client.Write([]byte("lost"))
	client.(*Conn).Reset()
	if n, err := server.Read(make([]byte, 8)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %d, %v, want ECONNRESET", n, err)
	}
}

func TestDialWithoutListenerIsRefused(t *testing.T) {
	_, err := New(Options{}).Dial(t.Context(), netip.AddrPort{}, netip.MustParseAddrPort("127.0.0.1:5060"))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want ECONNREFUSED", err)
	}
}

func TestAddressInUse(t *testing.T) {
	n := New(Options{})
	addr := netip.MustParseAddrPort("127.0.0.1:5060")
	for i, want := range []error{nil, syscall.EADDRINUSE} {
		if _, err := n.Listen(t.Context(), addr); !errors.Is(err, want) {
			t.Errorf("listen %d: %v, want %v", i, err, want)
		}
		if _, err := n.ListenPacket(t.Context(), addr); !errors.Is(err, want) {
			t.Errorf("listen packet %d: %v, want %v", i, err, want)
		}
	}
}

func TestDelayTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(Options{Delay: 30 * time.Millisecond})
		start := time.Now()
		a.Write([]byte("x"))
		b.Read(make([]byte, 1))
		if got := time.Since(start); got != 30*time.Millisecond {
			t.Errorf("byte after %v, want 30ms", got)
		}
		a.Close()
		if _, err := b.Read(make([]byte, 1)); err != io.EOF || time.Since(start) != 60*time.Millisecond {
			t.Errorf("%v after %v, want EOF after 60ms", err, time.Since(start))
		}
	})
}

func TestFullWindowMakesAWriteWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(Options{Window: 4})
		a.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := a.Write([]byte("abcdef"))
		if n != 4 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %d, %v, want 4 and the deadline", n, err)
		}
		a.SetWriteDeadline(time.Time{})
		go func() {
			time.Sleep(time.Minute)
			b.Read(make([]byte, 4))
		}()
		start := time.Now()
		if n, err := a.Write([]byte("ef")); n != 2 || err != nil || time.Since(start) != time.Minute {
			t.Errorf("got %d, %v after %v, want 2 after a minute", n, err, time.Since(start))
		}
	})
}

func TestReadDeadlineCanBeMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(Options{})
		start := time.Now()
		a.SetReadDeadline(start.Add(time.Second))
		go func() {
			time.Sleep(500 * time.Millisecond)
			a.SetReadDeadline(start.Add(3 * time.Second))
		}()
		for _, want := range []time.Duration{3 * time.Second, 3 * time.Second} {
			_, err := a.Read(make([]byte, 1))
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != want {
				t.Errorf("%v after %v, want the deadline after %v", err, time.Since(start), want)
			}
		}
		a.SetReadDeadline(time.Time{})
		b.Write([]byte("x"))
		if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("after the deadline was lifted: %d, %v", n, err)
		}
	})
}

func TestCloseWakesAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := Pipe(Options{})
		got := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			got <- err
		}()
		synctest.Wait()
		a.Close()
		if err := <-got; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", err)
		}
	})
}

// exchange sends 100 datagrams and returns what arrives, in order of arrival.
func exchange(t *testing.T, opt Options) []byte {
	t.Helper()
	n := New(opt)
	a, err := n.ListenPacket(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.ListenPacket(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	for i := range 100 {
		if _, err := a.WriteTo([]byte{byte(i)}, b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	b.SetReadDeadline(time.Now().Add(time.Second))
	var got []byte
	for {
		p := make([]byte, 8)
		m, from, err := b.ReadFrom(p)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil || m != 1 || from.String() != a.LocalAddr().String() {
			t.Fatalf("got %d bytes from %v, %v", m, from, err)
		}
		got = append(got, p[0])
	}
}

func TestDatagramsArriveInOrderOnAPerfectNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := exchange(t, Options{})
		if len(got) != 100 || !slices.IsSorted(got) {
			t.Errorf("got %d datagrams: %v", len(got), got)
		}
	})
}

func TestLossAndReorderAreRepeatable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := Options{Seed: 7, Loss: 0.2, Reorder: 0.2, Delay: time.Millisecond}
		first, second := exchange(t, opt), exchange(t, opt)
		if !bytes.Equal(first, second) {
			t.Errorf("same seed, different fate:\n%v\n%v", first, second)
		}
		if n := len(first); n < 60 || n > 95 {
			t.Errorf("%d of 100 arrived with a loss of 0.2", n)
		}
		if slices.IsSorted(first) {
			t.Error("nothing was reordered")
		}
		opt.Seed = 8
		if bytes.Equal(first, exchange(t, opt)) {
			t.Error("another seed, the same fate")
		}
	})
}

func TestDialGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := New(Options{Delay: time.Minute})
		if _, err := n.Dial(ctx, netip.AddrPort{}, home); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's end", err)
		}
	})
}

func TestDuplicatesArriveTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{Duplicate: 1, ReorderBy: time.Second})
		a, err := n.ListenPacket(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		start := time.Now()
		if _, err := a.WriteTo([]byte("x"), a.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 10)
		for _, after := range []time.Duration{0, time.Second} {
			if size, _, err := a.ReadFrom(b); err != nil || string(b[:size]) != "x" || time.Since(start) != after {
				t.Errorf("%q, %v after %v, want x after %v", b[:size], err, time.Since(start), after)
			}
		}
	})
}
