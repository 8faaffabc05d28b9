package gateway

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/history"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// stored is a gateway that keeps records and a history, between two TLS peers.
func stored(keys string) setting {
	return setting{office: transport.TLS, targets: transport.TLS, keys: keys, stored: true}
}

// TestFlowFromHistory: the history tells of a call what the ring did, with the handshakes of its connections, also when the gateway that
// served it has ended.
func TestFlowFromHistory(t *testing.T) {
	run(t, stored(""), func(r *rig) {
		r.answered()
		r.hangUp(r.office, r.acme)
		synctest.Wait()
		live := r.recorder.Flow("1")
		kept, err := r.History().Flow(r.Context(), r.recorder.Run()+"-1")
		if err != nil {
			r.Fatal(err)
		}
		same := func(f *callflow.Flow) {
			r.Helper()
			if len(f.Rows) != len(live.Rows) || f.Sentence != live.Sentence || f.State != callflow.StateEnded {
				r.Errorf("%d rows, %s; want %d rows, %s", len(f.Rows), f.Sentence, len(live.Rows), live.Sentence)
			}
			for i := range f.Legs {
				if got, want := f.Legs[i].Hop, live.Legs[i].Hop; len(got.Handshake) != len(want.Handshake) || len(got.Handshake) < 8 || len(got.Verdicts) != 2 {
					r.Errorf("leg %d: %d steps and %d verdicts, want %d", i, len(got.Handshake), len(got.Verdicts), len(want.Handshake))
				}
			}
		}
		same(kept)
		r.shut()
		live = r.recorder.Flow("1") // with the end of its connections
		again, err := history.Open(history.Options{Dir: filepath.Join(r.first.Data, historyDir), Run: "zzzzzz", Source: r.recorder.Cursor(), Limits: history.Limits{Bytes: 1 << 30}})
		if err != nil {
			r.Fatal(err)
		}
		defer again.Close()
		kept, err = again.Flow(r.Context(), r.recorder.Run()+"-1")
		if err != nil {
			r.Fatal(err)
		}
		same(kept)
	})
}

// TestHistoryIsSwitchedByAReload, and honest about it.
func TestHistoryIsSwitchedByAReload(t *testing.T) {
	run(t, stored(""), func(r *rig) {
		busy := func() {
			r.invite()
			r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
			r.refused(486)
			synctest.Wait()
		}
		flow := func(id string, want error) {
			r.Helper()
			f, err := r.History().Flow(r.Context(), id)
			if !errors.Is(err, want) || want == nil && f.State != callflow.StateBusy {
				r.Errorf("%s: %+v, %v; want %v", id, f, err, want)
			}
		}
		change := func(f func(*config.History)) {
			r.Helper()
			cfg, problems := config.Load(filepath.Join(r.dir, "sallyport.yaml"))
			f(&cfg.History)
			if reload := r.Apply(cfg); len(problems)+len(reload.Problems) > 0 {
				r.Fatal(problems, reload.Problems)
			}
			time.Sleep(time.Second)
		}
		busy()
		flow("1", nil)
		change(func(h *config.History) { h.Keep = false })
		busy()
		flow("2", history.ErrOff)
		flow("1", nil)
		change(func(h *config.History) { h.Numbers = config.NumbersMasked })
		busy()
		flow("3", nil)
		f, _ := r.History().Flow(r.Context(), "3")
		for _, row := range f.Rows {
			if strings.Contains(string(row.Raw), "sip:+49") && !strings.Contains(string(row.Raw), "*") {
				r.Errorf("a number is not masked:\n%s", row.Raw)
			}
		}
	})
	run(t, plain, func(r *rig) { // cdr: off
		if _, err := r.History().Flow(context.Background(), "1"); !errors.Is(err, history.ErrOff) {
			r.Errorf("without records of calls: %v", err)
		}
		if _, err := os.Stat(filepath.Join(r.first.Data, historyDir)); err == nil {
			r.Error("there is a directory of the history")
		}
	})
}
