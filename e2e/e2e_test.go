// Package e2e drives the built binary as a user does. Scripts are in testdata/*.txtar (testscript); with the build tag
// interop the binary also meets real programs: SIPp, stunnel, baresip, Kamailio, openssl and tshark
// (interop_*_test.go).
//
// TestMain builds the binary once. Nothing here imports the product's packages, but for attacks_test.go, which asks them what
// memory the limits allow; calls_test.go and target_test.go have peers of the library's.
package e2e

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// binary is the built program.
var binary string

var update = flag.Bool("update", false, "write the wanted output of the scripts anew")

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		if err := role(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "sallyport-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sallyport")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	build := exec.Command("go", "build", "-o", binary, "../cmd/sallyport")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "go build ../cmd/sallyport:", err)
		return 1
	}
	return m.Run()
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "columns": columns, "listening": listening, "subst": subst,
		},
		Setup: setup,
	})
}

// setup gives a script the binary, and $P1 to $P8: loopback ports that are free on TCP and UDP.
func setup(env *testscript.Env) error {
	env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+env.Getenv("PATH"))
	for i := 1; i <= 8; i++ {
		port, err := aPort("127.0.0.1")
		if err != nil {
			return err
		}
		env.Setenv(fmt.Sprintf("P%d", i), port)
	}
	return nil
}

// listening waits until TCP addresses accept connections: "listening 127.0.0.1:$P1".
func listening(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: listening address...")
	}
	for _, addr := range args {
		end := time.Now().Add(10 * time.Second)
		for {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
				break
			}
			if time.Now().After(end) {
				ts.Fatalf("%v", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// subst writes the script's variables into files: "subst gw.yaml" replaces $P1 there.
func subst(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: subst file...")
	}
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// status runs a program and wants this exit status of it: "status 2 sallyport serve". Its output is there for stdout,
// stderr and cmp, as after exec.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status number program [argument...]")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("status %s: not a number", args[0])
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("%s ended with status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// columns wants no line of a file longer than this many characters: "columns 80 stdout". The script's own directory, whose
// name is long, counts as /tmp.
func columns(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: columns number file")
	}
	most, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("columns %s: not a number", args[0])
	}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		line = strings.ReplaceAll(strings.TrimRight(line, "\r\n"), ts.Getenv("TMPDIR"), "/tmp")
		if n := len([]rune(line)); n > most {
			ts.Fatalf("%d columns, want at most %d: %s", n, most, line)
		}
	}
}
