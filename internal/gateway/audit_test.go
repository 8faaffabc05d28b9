package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// auditLines reads the lines of a file of the audit; those that are no JSON are there as nil.
func auditLines(t *testing.T, name string) (all []map[string]any) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var line map[string]any
		if json.Unmarshal(s.Bytes(), &line) != nil {
			line = nil
		}
		all = append(all, line)
	}
	return all
}

func TestAuditIsInLogAndFile(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.Audit("unmask", "by", "alice", "call", "k3f9-41")
		lines := auditLines(t, filepath.Join(r.first.Data, "audit.jsonl"))
		if len(lines) != 1 || lines[0]["what"] != "unmask" || lines[0]["by"] != "alice" || lines[0]["call"] != "k3f9-41" {
			t.Errorf("the file has %v", lines)
		}
		if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(lines[0]["at"])); err != nil || !at.Equal(time.Now()) {
			t.Errorf("at %v, %v", lines[0]["at"], err)
		}
		if log := r.log.String(); !strings.Contains(log, "msg=audit what=unmask by=alice") {
			t.Errorf("the log has no line of it:\n%s", log)
		}
	})
}

// TestAuditSurvivesATornLine: what a crash left of a line spoils no other.
func TestAuditSurvivesATornLine(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "audit.jsonl")
	if err := os.WriteFile(name, []byte("{\"what\":\"first\"}\n{\"what\":\"sec"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := new(audit).write(dir, "third", nil); err != nil {
		t.Fatal(err)
	}
	lines := auditLines(t, name)
	if len(lines) != 3 || lines[0]["what"] != "first" || lines[1] != nil || lines[2]["what"] != "third" {
		t.Errorf("got %v", lines)
	}
}

// TestAuditIsBounded: the oldest file goes, and nothing else.
func TestAuditIsBounded(t *testing.T) {
	dir := t.TempDir()
	a := &audit{size: 1000}
	const n = 200
	for i := range n {
		if err := a.write(dir, "reload", []any{"n", i}); err != nil {
			t.Fatal(err)
		}
	}
	next := n - 1
	files := 0
	for i := range auditFiles {
		lines := auditLines(t, auditFile(dir, i))
		for j := len(lines) - 1; j >= 0; j-- {
			if got := lines[j]["n"]; got != float64(next) {
				t.Fatalf("file %d, line %d: n is %v, want %d", i, j, got, next)
			}
			next--
		}
		files++
	}
	if entries, _ := os.ReadDir(dir); len(entries) != files || next <= 0 {
		t.Errorf("%d files, and %d lines have gone", len(entries), next+1)
	}
	if err := a.write(dir, "huge", []any{"text", strings.Repeat("x", 2*auditLine)}); err != nil {
		t.Fatal(err)
	}
	lines := auditLines(t, auditFile(dir, 0))
	if last := lines[len(lines)-1]; last["what"] != "huge" || last["text"] != nil || last["attributes"] == nil {
		t.Errorf("a line that is too long became %.100v", last)
	}
}

// TestAuditAlarm: when it cannot be written, that is an alarm, and over when it can.
func TestAuditAlarm(t *testing.T) {
	run(t, plain, func(r *rig) {
		name := filepath.Join(r.first.Data, "audit.jsonl")
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		r.Audit("reload")
		if all := r.Alarms(); len(all) != 1 || all[0].Name != "audit" || !strings.Contains(all[0].Remedy, name) {
			t.Errorf("alarms %+v", all)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		r.Audit("reload")
		if all := r.Alarms(); len(all) != 0 {
			t.Errorf("alarms %+v", all)
		}
	})
}

// TestReloadIsAudited says who asked and what came of it.
func TestReloadIsAudited(t *testing.T) {
	run(t, plain, func(r *rig) {
		file := r.snapshot.Load().config.File
		r.ReloadWith(ReloadOptions{By: "somebody"})
		if err := os.WriteFile(file, []byte("nonsense: true\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.Reload()
		lines := auditLines(t, filepath.Join(r.first.Data, "audit.jsonl"))
		if len(lines) != 2 || lines[0]["what"] != "reload" || lines[0]["by"] != "somebody" || lines[0]["taken"] != true ||
			lines[1]["by"] != "signal" || lines[1]["taken"] != false {
			t.Errorf("got %v", lines)
		}
	})
}
