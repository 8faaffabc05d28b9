package recorder

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

var (
	plainInfo = transport.ConnInfo{ID: 7, Transport: transport.TCP, Inbound: true, Remote: peerAddr}
	at0       = time.Unix(1e9, 0)
)

// TestOneFlowIsBuiltAsAmongAll, with a ring that holds many calls on shared connections and has dropped some.
func TestOneFlowIsBuiltAsAmongAll(t *testing.T) {
	for _, calls := range []int{3, 300} { // of the latter the ring has dropped the first, with the connections' beginning
		r := New(Config{Bytes: 256 << 10})
		fillCalls(r, calls)
		all := r.Flows()
		if len(all) < 3 {
			t.Fatalf("%d flows", len(all))
		}
		for _, f := range all {
			r.Record(callflow.Noted, callflow.Call{}, "so that it is built anew")
			if got := r.Flow(f.ID); !reflect.DeepEqual(got, f) && r.Stats().Events > 20 {
				if again := find(r.Flows(), f.ID); again == nil || reflect.DeepEqual(got, again) {
					continue // the note has pushed something out
				}
				t.Fatalf("flow %s of %d:\n%+v\nand among all\n%+v", f.ID, calls, got, f)
			}
		}
	}
}

func find(flows []*callflow.Flow, id string) *callflow.Flow {
	for _, f := range flows {
		if f.ID == id {
			return f
		}
	}
	return nil
}

func TestFlowsHaveAPermanentID(t *testing.T) {
	r := New(Config{})
	fillCalls(r, 1)
	run := r.Run()
	if len(run) != 6 || run[0] < 'a' || run == New(Config{}).Run() {
		t.Errorf("run %q", run)
	}
	if a, b := r.Flow("1"), r.Flow(run+"-1"); a == nil || a != b {
		t.Errorf("with the run %v, without %v", b, a)
	}
	for _, id := range []string{"zzzzzz-1", "2", "", "-", "conn-", "conn-x", "leg-", "leg-zz", "x", run + "-", run + "-2", run + "-conn-1"} {
		if f := r.Flow(id); f != nil {
			t.Errorf("%q is a flow: %+v", id, f)
		}
	}
	for id, want := range map[string][2]string{
		"41": {"", "41"}, "k3f9qz-41": {"k3f9qz", "41"}, "conn-9": {"", "conn-9"}, "k3f9qz-conn-9": {"k3f9qz", "conn-9"},
		"leg-0123abcd": {"", "leg-0123abcd"}, "k3f9qz-leg-0123abcd": {"k3f9qz", "leg-0123abcd"},
	} {
		if run, rest := SplitID(id); run != want[0] || rest != want[1] {
			t.Errorf("%q is %q and %q", id, run, rest)
		}
	}
}

// TestLegsWithoutARecordAreFound by the name that is made of their Call-ID, also when that is written in odd ways.
func TestLegsWithoutARecordAreFound(t *testing.T) {
	for _, header := range []string{"Call-ID: a@b", "CALL-ID:a@b", "i: a@b", "I  :  a@b  ", "Call-ID:\r\n a@b", "Call-ID: a@b\r\nX: y"} {
		r := New(Config{})
		k := newConn(r, plainInfo)
		m := "INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\n" + header + "\r\nCSeq: 1 INVITE\r\n\r\nCall-ID: no"
		r.mu.Lock()
		r.ring.message(k, false, peerAddr, at0, []byte(m))
		r.mu.Unlock()
		all := r.Flows()
		if len(all) != 1 || !strings.HasPrefix(all[0].ID, "leg-") {
			t.Fatalf("%q: flows %+v", header, all)
		}
		r.Record(callflow.Noted, callflow.Call{}, "so that it is built anew")
		if f := r.Flow(all[0].ID); !reflect.DeepEqual(f, all[0]) {
			t.Errorf("%q: %+v, want %+v", header, f, all[0])
		}
	}
}
