package gateway

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// keeping is a setting over TLS in which the secrets of the office are kept.
func keepingFor(how, more string) setting {
	return setting{office: transport.TLS, targets: transport.TLS, extra: map[string]string{"office": "keep_keys: " + how + more}}
}

// audited returns what the audit says of an action, each as "peer cause" or the like.
func (r *rig) audited(what string) (lines []string) {
	b, err := os.ReadFile(filepath.Join(r.first.Data, "audit.jsonl"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, `"`+what+`"`) {
			lines = append(lines, line)
		}
	}
	return lines
}

func (r *rig) alarmed(name string) bool {
	return slices.ContainsFunc(r.Alarms(), func(a Alarm) bool { return a.Name == name })
}

// exportWith exports the only call with secrets.
func (r *rig) exportWith(f *callflow.Flow) []byte {
	r.Helper()
	kept, err := r.Secrets(f, "test")
	if err != nil {
		r.Fatal(err)
	}
	var b bytes.Buffer
	if err := export.PCAPNG(&b, []*callflow.Flow{f}, export.Options{Kept: kept}); err != nil {
		r.Fatal(err)
	}
	return b.Bytes()
}

// While keep_keys of a peer is on, its connections are kept with their secrets, of both versions; an alarm says so, and the audit has
// begin, export and end. Connections of others are not kept.
func TestKeepKeys(t *testing.T) {
	for _, version := range []string{"1.3", "1.2"} {
		set := keepingFor("1h", ", policy: one")
		set.keys = "policies: {one: {min_version: \"" + version + "\", max_version: \"" + version + "\"}}\n"
		set.file = strings.Replace(file(set), "client_certificates: required}", "client_certificates: required, policy: one}", 1)
		run(t, set, func(r *rig) {
			if !r.alarmed("keys office") || len(r.audited("keep_keys begin")) != 1 {
				t.Errorf("alarms %v, audit %q", r.Alarms(), r.audited("keep_keys begin"))
			}
			r.answered()
			r.hangUp(r.office, r.acme)
			synctest.Wait()
			f := r.recorder.Flows()[0]
			if got := f.Legs[0].Hop.Link.TLS.Version; got != version {
				r.Fatalf("TLS %s", got)
			}
			file := r.exportWith(f)
			label := map[string]string{"1.3": "CLIENT_TRAFFIC_SECRET_0 ", "1.2": "CLIENT_RANDOM "}[version]
			if n := bytes.Count(file, []byte(label)); n != 1 {
				t.Errorf("TLS %s: %d lines %q, want that of one connection", version, n, label)
			}
			if r.recorder.Kept(f.Legs[1].Hop.Link, time.Now()) != nil {
				t.Error("a connection of acme was kept")
			}
			k := r.recorder.Kept(f.Legs[0].Hop.Link, time.Now())
			if k.Records[0].Out || k.Records[0].Data[0] != 22 || bytes.Contains(file, []byte("INVITE sip:+4930123@gw.example")) {
				t.Errorf("not the records of the wire: % x", k.Records[0].Data[:8])
			}
			if lines := r.audited("export with secrets"); len(lines) != 1 || !strings.Contains(lines[0], `"test"`) {
				t.Errorf("audit %q", lines)
			}
			if strings.Contains(r.log.String(), string(k.KeyLog[:60])) {
				t.Error("secrets are in the log")
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if conns, size := r.recorder.KeptStats(); conns+size != 0 {
				t.Errorf("after its time %d connections with %d bytes are kept", conns, size)
			}
			if lines := r.audited("keep_keys end"); len(lines) != 1 || !strings.Contains(lines[0], "its time is over") || r.alarmed("keys office") {
				t.Errorf("audit %q, alarms %v", lines, r.Alarms())
			}
			if _, err := r.Secrets(f, "test"); err == nil || !strings.Contains(err.Error(), "no secrets are kept for acme, office") {
				t.Errorf("export afterwards: %v", err)
			}
		})
	}
}

// A reload with the same keep_keys does not begin it anew, one with another does, and one without ends it.
func TestKeepKeysOverReloads(t *testing.T) {
	run(t, keepingFor("1h", ""), func(r *rig) {
		same := file(r.set)
		reload := func(text string) {
			r.write(r.dir, "sallyport.yaml", []byte(text))
			if got := r.Reload(); len(got.Problems) > 0 {
				r.Fatal(got.Problems)
			}
		}
		ends := r.KeptKeys()["office"]
		time.Sleep(40 * time.Minute)
		reload(same)
		if got := r.KeptKeys()["office"]; !got.Equal(ends) {
			t.Errorf("it ends at %v, and at %v after a reload", ends, got)
		}
		time.Sleep(40 * time.Minute)
		reload(same)
		if len(r.KeptKeys()) != 0 {
			t.Error("a reload has begun anew what was over")
		}
		reload(strings.Replace(same, "keep_keys: 1h", "keep_keys: 30m", 1))
		if got := r.KeptKeys()["office"]; !got.Equal(time.Now().Add(30 * time.Minute)) {
			t.Errorf("another setting ends at %v", got)
		}
		reload(strings.Replace(same, ", keep_keys: 1h", "", 1))
		if len(r.KeptKeys()) != 0 || r.alarmed("keys office") || len(r.audited("keep_keys end")) != 2 {
			t.Errorf("without it: %v, %v, %q", r.KeptKeys(), r.Alarms(), r.audited("keep_keys end"))
		}
	})
}

// Without keep_keys, and for connections that were there before, an export with secrets says what to do.
func TestSecretsThatAreNotKept(t *testing.T) {
	run(t, setting{office: transport.TLS, targets: transport.TLS}, func(r *rig) {
		r.answered()
		r.hangUp(r.office, r.acme)
		synctest.Wait()
		f := r.recorder.Flows()[0]
		if _, err := r.Secrets(f, "test"); err == nil || !strings.Contains(err.Error(), "no secrets are kept for acme, office: set keep_keys") {
			t.Errorf("without keep_keys: %v", err)
		}
		r.write(r.dir, "sallyport.yaml", []byte(strings.Replace(file(r.set), "certificate_names: [office.example]", "certificate_names: [office.example], keep_keys: 1h", 1)))
		if got := r.Reload(); len(got.Problems) > 0 {
			r.Fatal(got.Problems)
		}
		if _, err := r.Secrets(f, "test"); err == nil || !strings.Contains(err.Error(), "began before keep_keys of acme, office was on") {
			t.Errorf("of a connection from before: %v", err)
		}
	})
	run(t, plain, func(r *rig) {
		r.answered()
		r.hangUp(r.office, r.acme)
		if _, err := r.Secrets(r.recorder.Flows()[0], "test"); err == nil || !strings.Contains(err.Error(), "has no TLS connection") {
			t.Errorf("of a call over UDP: %v", err)
		}
	})
}
