//go:build interop

package e2e

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A tab is a page in headless Chromium, and what it said and asked for meanwhile.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu    sync.Mutex
	said  []string        // errors of its console: a breach of its policy is one
	hosts map[string]bool // that it asked for anything
}

// tabPatience is how long a page may take for anything.
const tabPatience = 30 * time.Second

// openPage opens a page in a browser of its own, which ends with the test. A pin is the hash of a key that it is to believe.
func openPage(t *testing.T, base, path string, pin ...string) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(need(t, "chromium", "chromium")), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(tabPatience), chromedp.UserDataDir(t.TempDir()))
	if len(pin) > 0 {
		options = append(options, chromedp.Flag("ignore-certificate-errors-spki-list", pin[0]))
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	t.Cleanup(func() { chromedp.Cancel(ctx) })
	b := &tab{t: t, ctx: ctx, base: base, hosts: map[string]bool{}}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	b.screen(1440, 900, "light")
	b.open(path)
	return b
}

// hear takes what the browser tells of the page.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Scheme != "data" && u.Scheme != "blob" {
			b.hosts[u.Scheme+"://"+u.Host] = true
		}
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			b.said = append(b.said, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, "exception: "+e.ExceptionDetails.Text+" "+exceptionOf(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			b.said = append(b.said, "console: "+string(e.Type))
		}
	}
}

// wantsQuiet wants that the page broke no rule of its policy and threw no error, and asked its own host only.
func (b *tab) wantsQuiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.said {
		b.t.Errorf("the page: %s", s)
	}
	if len(b.hosts) != 1 || !b.hosts[b.base] {
		b.t.Errorf("the page asked %v, want %s only", b.hosts, b.base)
	}
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, tabPatience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// open goes to a path of the page.
func (b *tab) open(path string) {
	b.t.Helper()
	b.do(path, chromedp.Navigate(b.base+path))
}

// screen makes the window that large, and the system light or dark.
func (b *tab) screen(width, height int64, scheme string) {
	b.t.Helper()
	b.do("the size of the window", chromedp.EmulateViewport(width, height))
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		b.t.Fatal(err)
	}
}

// key presses keys, one after the other.
func (b *tab) key(keys string) {
	b.t.Helper()
	for _, k := range keys {
		b.do("the key "+string(k), chromedp.KeyEvent(string(k)))
	}
}

// eval runs a script.
func (b *tab) eval(script string) {
	b.t.Helper()
	b.do(script, chromedp.Evaluate[chromedp.Void](script))
}

// ask is whether a script's value is true; an error of it is false.
func (b *tab) ask(script string) bool {
	ctx, cancel := context.WithTimeout(b.ctx, tabPatience)
	defer cancel()
	ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(() => { try { return Boolean(`+script+`) } catch { return false } })()`))
	return err == nil && ok
}

// until waits until a script is true.
func (b *tab) until(what, script string) {
	b.t.Helper()
	if !eventually(tabPatience, func() bool { return b.ask(script) }) {
		b.fail(what, script)
	}
}

// is wants a script to be true now.
func (b *tab) is(what, script string) {
	b.t.Helper()
	if !b.ask(script) {
		b.fail(what, script)
	}
}

// fail ends the test with what the page shows.
func (b *tab) fail(what, script string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, tabPatience)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + '\n' + document.body.innerText`))
	if picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
		os.WriteFile(filepath.Join(b.t.ArtifactDir(), "page.png"), picture, 0o600)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t.Fatalf("it is not so that %s: %s\nthe page said %q and shows\n%s", what, script, b.said, text)
}

// axeSource is axe-core, of the version and content that the lock file of the page's source names.
func axeSource(t *testing.T) string {
	t.Helper()
	npm := need(t, "npm", "npm")
	root := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		text, err := os.ReadFile(filepath.Join("..", "ui", name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(root, name), string(text))
	}
	cmd := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(root, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// axe is what axe-core finds of serious and critical violations.
func (b *tab) axe(source string) (found []string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*tabPatience)
	defer cancel()
	if !b.ask(`window.axe`) {
		if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](source)); err != nil {
			b.t.Fatal(err)
		}
	}
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations
		.filter(v => v.impact === 'serious' || v.impact === 'critical')
		.map(v => v.id + ': ' + v.help + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + ' ' + n.failureSummary).join(' | '))))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		b.t.Fatal(err)
	}
	for i := range found {
		found[i] = strings.ReplaceAll(found[i], "\n", " ")
	}
	return found
}

func exceptionOf(d *runtime.ExceptionDetails) string {
	if d.Exception == nil {
		return ""
	}
	return d.Exception.Description
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// number is the value of a script.
func (b *tab) number(script string) float64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, tabPatience)
	defer cancel()
	n, err := chromedp.Run(ctx, chromedp.Evaluate[float64](script))
	if err != nil {
		b.t.Errorf("%s: %v", script, err)
	}
	return n
}
