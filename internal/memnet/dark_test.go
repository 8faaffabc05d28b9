package memnet

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestDarkHostAnswersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{})
		far := netip.MustParseAddrPort("192.0.2.9:5060")
		l, err := n.Listen(t.Context(), far)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		near, err := n.Dial(t.Context(), netip.AddrPort{}, far)
		if err != nil {
			t.Fatal(err)
		}
		other, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		a, _ := n.ListenPacket(t.Context(), netip.MustParseAddrPort("192.0.2.1:5060"))
		b, _ := n.ListenPacket(t.Context(), far)
		defer a.Close()
		defer b.Close()

		n.Darken(far.Addr())
		if k, err := near.Write([]byte("lost")); k != 4 || err != nil {
			t.Errorf("write: %d, %v, want all and no error", k, err)
		}
		if _, err := a.WriteTo([]byte("lost"), b.LocalAddr()); err != nil {
			t.Errorf("send: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if _, err := n.Dial(ctx, netip.AddrPort{}, far); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("dial: %v after %v, want it to wait", err, time.Since(began))
		}
		near.Close()

		n.Lighten(far.Addr())
		other.SetReadDeadline(time.Now().Add(time.Second))
		if k, err := other.Read(make([]byte, 9)); k != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %d, %v, want neither the bytes nor the end", k, err)
		}
		b.SetReadDeadline(time.Now().Add(time.Second))
		if k, _, err := b.ReadFrom(make([]byte, 9)); k != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("receive: %d, %v, want nothing", k, err)
		}
		other.Close()
	})
}
