package sallyport

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path in go.mod.
const module = "github.com/sallyport-sip/sallyport"

// floors says which package stands where: a package imports packages on lines above its own, never beside or below.
// A name that ends in "/..." stands for every package under it, and those may import one another. docs/ARCHITECTURE.md shows the same list.
const floors = `
sip sdp internal/memnet internal/testca internal/testdns
sip/dialog sip/digest sip/domaincert sip/transaction
sip/transport sip/resolve
sip/ua sip/siptest
internal/config internal/callflow internal/redact internal/metrics internal/tlswire internal/watch internal/certfile internal/revocation internal/acme
internal/store internal/trust internal/guard internal/callflow/export internal/hep internal/media internal/capture
internal/peer internal/recorder internal/history internal/filter internal/events internal/radius internal/preset
internal/registrar internal/route internal/cross internal/ship
internal/b2bua internal/relay internal/load
internal/gateway
internal/api internal/probe internal/tracing
internal/web internal/tui
internal/cli
cmd/sallyport
bench/... internal/config/gen sip/gen
`

// pure are the packages without I/O, clock, goroutine or log: whoever calls them brings the time and the bytes.
var pure = words("sip sdp sip/dialog sip/digest sip/domaincert sip/transaction")

// programs are the packages that may exit: the binary, and commands of this repository with flags of their own.
var programs = words("cmd/sallyport bench/... internal/config/gen sip/gen")

// A rule forbids imports (paths, or prefixes ending in "/...") and calls ("os.Exit", or "os.*") to all packages but some,
// or, when only is set, to some.
type rule struct {
	imports string
	names   string
	except  []string
	only    []string
	why     string
}

var rules = []rule{
	{
		imports: "flag github.com/spf13/cobra github.com/spf13/pflag",
		names:   "os.Getenv os.LookupEnv os.Environ os.ExpandEnv os.Args",
		except:  append(words("internal/cli"), programs...),
		why:     "only internal/cli reads flags and the environment",
	},
	{
		imports: "database/sql modernc.org/sqlite/... modernc.org/sqlite",
		except:  words("internal/store"),
		why:     "only internal/store opens a database",
	},
	{
		names:  "os.Exit syscall.Exit log.Fatal log.Fatalf log.Fatalln",
		except: programs,
		why:    "only main exits",
	},
	{
		imports: "os os/... log log/... syscall net/http crypto/tls golang.org/x/sys/... golang.org/x/net/...",
		names: "time.Now time.Since time.Until time.Sleep time.After time.AfterFunc time.NewTimer time.NewTicker time.Tick " +
			"net.Dial net.DialTimeout net.Listen net.ListenPacket net.LookupHost net.LookupIP net.LookupSRV net.LookupAddr " +
			"net.ResolveTCPAddr net.ResolveUDPAddr net.ResolveIPAddr net.InterfaceAddrs net.Interfaces",
		only: pure,
		why:  "a pure package has no I/O, clock or log",
	},
	{
		imports: "C github.com/gopacket/gopacket/pcap",
		except:  nil,
		why:     "nothing needs cgo",
	},
}

// TestFloors reads every file of the module that is no test.
func TestFloors(t *testing.T) {
	at := parseFloors(floors)
	fset := token.NewFileSet()
	seen := map[string]bool{}
	for _, name := range sources(t) {
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		pkg := path.Dir(filepath.ToSlash(name))
		seen[pkg] = true
		for _, problem := range check(fset, at, pkg, f) {
			t.Error(problem)
		}
	}
	if !seen["sip"] || !seen["cmd/sallyport"] {
		t.Errorf("the walk missed packages: it saw %d", len(seen))
	}
}

// TestFloorsInArchitecture keeps the page and this file saying the same.
func TestFloorsInArchitecture(t *testing.T) {
	page, err := os.ReadFile("docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```floors"+floors+"```") {
		t.Errorf("docs/ARCHITECTURE.md shows other floors than deps_test.go; they are:%s", floors)
	}
}

// sources lists the module's Go files that are no tests, by path with slashes from the root. Directories that are
// modules of their own, test data and hidden ones are left out.
func sources(t *testing.T) []string {
	var names []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			own, _ := filepath.Glob(filepath.Join(name, "go.mod"))
			if name != "." && (len(own) > 0 || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && filepath.Dir(name) != "." {
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// floorOf says which line a package stands on, counted from 0; ok is false for a package that the text does not name.
type floorOf func(pkg string) (line int, ok bool)

func parseFloors(text string) floorOf {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return func(pkg string) (int, bool) {
		for i, line := range lines {
			if among(pkg, words(line)) {
				return i, true
			}
		}
		return 0, false
	}
}

// check returns what is wrong with one file of package pkg.
func check(fset *token.FileSet, at floorOf, pkg string, f *ast.File) []string {
	var problems []string
	report := func(pos token.Pos, format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s: %s", fset.Position(pos), fmt.Sprintf(format, args...)))
	}
	own, ok := at(pkg)
	if !ok {
		report(f.Name.Pos(), "package %s stands on no floor: give it a place in deps_test.go and docs/ARCHITECTURE.md", pkg)
		return problems
	}
	imported := map[string]string{} // local name to path
	for _, spec := range f.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			report(spec.Pos(), "import path %s: %v", spec.Path.Value, err)
			continue
		}
		local := path.Base(target)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		imported[local] = target
		checkImport(report, at, pkg, own, spec, target)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && imported[x.Name] != "" {
				name := imported[x.Name] + "." + n.Sel.Name
				for _, r := range rules {
					if r.binds(pkg) && slices.Contains(words(r.names), name) {
						report(n.Pos(), "%s in %s: %s", name, pkg, r.why)
					}
				}
			}
		case *ast.GoStmt:
			if among(pkg, pure) {
				report(n.Pos(), "go statement in %s: a pure package starts no goroutine", pkg)
			}
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				report(n.Pos(), "func init in %s: put a row in the package's table instead", pkg)
			}
		}
		return true
	})
	return problems
}

func checkImport(report func(token.Pos, string, ...any), at floorOf, pkg string, own int, spec *ast.ImportSpec, target string) {
	if spec.Name != nil && spec.Name.Name == "_" && target != "embed" {
		report(spec.Pos(), "blank import of %s in %s: nothing registers itself", target, pkg)
	}
	if spec.Name != nil && spec.Name.Name == "." {
		report(spec.Pos(), "dot import of %s in %s", target, pkg)
	}
	for _, r := range rules {
		if r.binds(pkg) && among(target, words(r.imports)) {
			report(spec.Pos(), "%s imports %s: %s", pkg, target, r.why)
		}
	}
	inside, ok := strings.CutPrefix(target, module+"/")
	if !ok {
		return
	}
	line, known := at(inside)
	switch {
	case !known:
		report(spec.Pos(), "%s imports %s, which stands on no floor", pkg, inside)
	case line == own && !(among(pkg, programs) && path.Dir(pkg) == path.Dir(inside)):
		report(spec.Pos(), "%s imports %s, which stands beside it", pkg, inside)
	case line > own:
		report(spec.Pos(), "%s imports %s, which stands below it", pkg, inside)
	}
}

func (r rule) binds(pkg string) bool {
	if r.only != nil {
		return among(pkg, r.only)
	}
	return !among(pkg, r.except)
}

// among reports whether name is one of the list, or under one of its entries "dir/...".
func among(name string, list []string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		dir, tree := strings.CutSuffix(entry, "/...")
		return name == dir || tree && strings.HasPrefix(name, dir+"/")
	})
}

func words(s string) []string { return strings.Fields(s) }

// TestFloorsCatch shows that each rule fails on a file that breaks it, and that what is allowed passes.
func TestFloorsCatch(t *testing.T) {
	const us = `"` + module + `/`
	for _, tt := range []struct {
		name, pkg, body string
		want            string // part of the one complaint; empty: none
	}{
		{"above", "sip/transport", `import _s ` + us + `sip"`, ""},
		{"far above", "internal/cli", `import _s ` + us + `sip"`, ""},
		{"beside", "sip/transport", `import _s ` + us + `sip/resolve"`, "stands beside it"},
		{"below", "sip", `import _s ` + us + `sip/ua"`, "stands below it"},
		{"the product from the library", "sip/ua", `import _s ` + us + `internal/config"`, "stands below it"},
		{"unknown package", "internal/util", `import "fmt"`, "stands on no floor"},
		{"unknown import", "internal/gateway", `import _s ` + us + `internal/util"`, "stands on no floor"},
		{"tree entry", "bench/driver", `import _s ` + us + `internal/cli"`, ""},
		{"within a tree entry", "bench/driver", `import _s ` + us + `bench/cpu"`, ""},
		{"not under a tree entry", "benchmark", `import "fmt"`, "stands on no floor"},
		{"flag", "internal/gateway", `import "flag"`, "reads flags"},
		{"cobra", "internal/api", `import "github.com/spf13/cobra"`, "reads flags"},
		{"cobra in cli", "internal/cli", `import "github.com/spf13/cobra"`, ""},
		{"environment", "internal/trust", `import "os"; var _ = os.Getenv("HOME")`, "reads flags and the environment"},
		{"environment by another name", "internal/trust", `import o "os"; var _ = o.Environ()`, "os.Environ in internal/trust"},
		{"environment in cli", "internal/cli", `import "os"; var _ = os.Getenv("HOME")`, ""},
		{"arguments", "internal/gateway", `import "os"; var _ = os.Args`, "os.Args"},
		{"a field of that name", "internal/gateway", `var os struct{ Args int }; var _ = os.Args`, ""},
		{"database", "internal/recorder", `import "database/sql"`, "opens a database"},
		{"sqlite", "internal/gateway", `import s "modernc.org/sqlite"`, "opens a database"},
		{"sqlite's parts", "internal/gateway", `import s "modernc.org/sqlite/lib"`, "opens a database"},
		{"database in store", "internal/store", `import "database/sql"`, ""},
		{"exit", "internal/cli", `import "os"; func f() { os.Exit(1) }`, "only main exits"},
		{"fatal", "internal/cli", `import "log"; func f() { log.Fatal("x") }`, "only main exits"},
		{"exit in main", "cmd/sallyport", `import "os"; func f() { os.Exit(1) }`, ""},
		{"clock", "sip/transaction", `import "time"; var _ = time.Now()`, "time.Now in sip/transaction"},
		{"a duration is no clock", "sip/transaction", `import "time"; var _ = time.Second`, ""},
		{"clock in transport", "sip/transport", `import "time"; var _ = time.Now()`, ""},
		{"file", "sip", `import "os"`, "a pure package has no I/O"},
		{"log", "sdp", `import "log/slog"`, "a pure package has no I/O"},
		{"dial", "sip/digest", `import "net"; var _, _ = net.Dial("tcp", "")`, "net.Dial"},
		{"goroutine", "sip/dialog", `func f() { go f() }`, "starts no goroutine"},
		{"goroutine in transport", "sip/transport", `func f() { go f() }`, ""},
		{"init", "internal/route", `func init() {}`, "func init"},
		{"method init", "internal/route", `type a int; func (a) init() {}`, ""},
		{"blank import", "internal/web", `import _ "image/png"`, "blank import"},
		{"embed", "internal/web", `import _ "embed"`, ""},
		{"dot import", "internal/web", `import . "fmt"`, "dot import"},
		{"cgo", "sip/transport", `import "C"`, "cgo"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, "x.go", "package x; "+tt.body, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			got := check(fset, parseFloors(floors), tt.pkg, f)
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("allowed, but: %q", got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("got %q, want one complaint with %q", got, tt.want)
			}
		})
	}
}
