//go:build interop

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// The tokens of a guarded site.
var (
	readerToken   = strings.Repeat("a-readers-token-", 2)
	operatorToken = strings.Repeat("an-operators-token-", 2)
)

// guard has the site's gateway serve its page over HTTPS, to who has a token. It returns the address, and the pin of the key.
func (s *site) guard(t *testing.T) (base, pin string) {
	t.Helper()
	writeFile(t, filepath.Join(s.dir, "reader"), readerToken+"\n")
	writeFile(t, filepath.Join(s.dir, "operator"), operatorToken+"\n")
	at := fmt.Sprintf("admin: {listen: %q", s.admin)
	s.config = strings.Replace(s.config, at, at+", identity: gateway, token_file: reader, operator_token_file: operator", 1)
	writeFile(t, filepath.Join(s.dir, "sallyport.yaml"), s.config)
	sallyport(t, s.dir, "reload")
	return "https://" + s.admin, pinOf(t, filepath.Join(s.dir, "gateway.pem"))
}

// signIn types a token into the page's form.
func (b *tab) signIn(token string) {
	b.t.Helper()
	b.until(`it asks for the token`, `document.querySelector('#token') !== null`)
	b.eval(`document.querySelector('#token').focus()`)
	b.key(token + kb.Enter)
}

// press clicks the button with a text.
func (b *tab) press(text string) {
	b.t.Helper()
	b.until("there is a button "+text, `(window.pressed = [...document.querySelectorAll('button')].filter(x => x.innerText.trim() === '`+text+`').at(-1)) !== undefined`)
	b.eval(`window.pressed.click()`)
}

const (
	dialog = `(document.querySelector('dialog[open]')?.innerText ?? '')`
	may    = `document.querySelector('[aria-label="You may"]')?.innerText`
	acts   = `[...document.querySelectorAll('button')].filter(x => /^(End call|Reload)/.test(x.innerText)).length`
)

// TestPageReader signs in with the token of those who may look: nothing that acts is on any page, and what a script of the page sends
// all the same is refused. The token is nowhere in the browser, and the cookie is not a script's to read.
func TestPageReader(t *testing.T) {
	s := newSite(t, "127.0.0.1", "1.3", "1.3", "ca")
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, _ := s.talk(ctx, t)
	id := s.idOf(t, "answered")
	base, pin := s.guard(t)
	b := openPage(t, base, "/", pin)
	b.signIn("wrong")
	b.until(`it says that the token is wrong, and where a right one is`, `document.querySelector('[role=alert]').innerText.includes('admin.token_file')`)
	b.is(`nothing is listed`, `!document.body.innerText.includes('alice')`)
	b.signIn(readerToken)
	b.until(`the call is listed`, rows+`.length === 1`)
	b.is(`it says what one may do`, may+` === 'reader'`)
	b.is(`no script can read who one is`, `document.cookie === ''`)
	b.is(`the token is kept nowhere`, `!(location.href + document.documentElement.outerHTML + JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage})).includes('`+readerToken+`')`)
	b.is(`nor in the form`, `document.querySelector('#token') === null`)
	b.eval(`location.hash = '#/call/` + id + `'`)
	b.until(`the ladder is open`, lines+`.length > 5`)
	b.is(`no call can be ended`, acts+` === 0`)
	b.eval(`location.hash = '#/configuration'`)
	b.until(`the configuration is there`, `document.querySelectorAll('h2').length > 3`)
	b.is(`it cannot be reloaded`, acts+` === 0`)
	b.eval(`for (const p of ['reload?evict=true', 'calls/` + id + `/end']) fetch('/api/v1/' + p, {method: 'POST'}).then(r => (window.got = (window.got ?? '') + r.status + ' '))`)
	b.until(`a script of the page may no more`, `window.got === '403 403 '`)

	b.eval(`location.reload()`)
	b.until(`the browser is still signed in`, `document.querySelectorAll('h2').length > 3`)
	b.press("Sign in")
	b.signIn(operatorToken)
	b.until(`who has the other token becomes an operator`, may+` === 'operator'`)
	b.press("Sign out")
	b.until(`who signs out sees the form`, `document.querySelector('#token') !== null`)
	b.is(`and nothing else`, `document.querySelectorAll('h2').length === 0`)
	b.eval(`fetch('/api/v1/calls').then(r => (window.status2 = r.status))`)
	b.until(`the gateway knows the browser no more`, `window.status2 === 401`)
	if err := ours.Bye(ctx); err != nil {
		t.Error("the call was not left alone:", err)
	}
}

// TestPageOperator ends a call and reloads, each after a question that can be answered with no; a mistake in the file is shown with its
// place, and the audit has all of it.
func TestPageOperator(t *testing.T) {
	s := newSite(t, "127.0.0.1", "1.3", "1.3", "ca")
	s.answered(t)
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, theirs := s.talk(ctx, t)
	id, over := s.idOf(t, "answered"), s.idOf(t, "ended")
	base, pin := s.guard(t)
	b := openPage(t, base, "/", pin)
	b.signIn(operatorToken)
	b.until(`the calls are listed`, rows+`.length === 2`)
	b.is(`it says what one may do`, may+` === 'operator'`)

	b.eval(`location.hash = '#/call/` + over + `'`)
	b.until(`a call that is over is open`, `document.querySelector('.call h1').innerText.includes('Ended by caller')`)
	b.is(`it cannot be ended`, acts+` === 0`)
	b.eval(`location.hash = '#/call/` + id + `'`)
	b.press("End call")
	b.until(`the question says what it does`, dialog+`.includes('End call `+id+`?') && `+dialog+`.includes('hangs up on both sides') && `+dialog+`.includes('alice@caller.example')`)
	b.is(`the answer that does nothing has the focus`, `document.activeElement.innerText === 'Cancel'`)
	b.key(kb.Escape)
	b.until(`Escape is no`, dialog+` === ''`)
	b.is(`the call is still open`, `location.hash.startsWith('#/call/`+id+`') && `+rows+`[0].includes('answered')`)
	b.press("End call")
	b.press("End the call")
	b.until(`the call is over, and the page shows it`, rows+`[0].includes('ended') && `+dialog+` === ''`)
	wantOver(ctx, t, ours)
	wantOver(ctx, t, theirs)

	b.eval(`location.hash = '#/configuration'`)
	b.press("Reload")
	b.until(`the question says what it does`, dialog+`.includes('reads') && `+dialog+`.includes('Calls go on')`)
	b.press("Reload")
	b.until(`it was taken`, dialog+`.includes('✓ The configuration is in force')`)
	b.press("Close")
	b.until(`the dialog is closed`, `document.querySelector('dialog') === null`)
	writeFile(t, filepath.Join(s.dir, "sallyport.yaml"), strings.Replace(s.config, "to: [answerer]", "to: [nobody]", 1))
	b.press("Reload and evict")
	b.until(`this question is another`, dialog+`.includes('calls on them are ended')`)
	b.press("Reload and evict")
	b.until(`the mistake is shown with its place`, `/Not taken[^]*sallyport\.yaml:\d+:\d+: .*nobody/.test(`+dialog+`)`)
	b.press("Close")
	b.until(`the dialog is closed`, `document.querySelector('dialog') === null`)
	b.until(`and stays on the page`, `/was not taken[^]*nobody/.test(document.body.innerText)`)

	kept, err := os.ReadFile(filepath.Join(s.dir, "data", "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"sign in"`, `"end call"`, `"` + id + `"`, `"reload"`} {
		if !strings.Contains(string(kept), want) {
			t.Errorf("the audit does not have %s:\n%s", want, kept)
		}
	}
}
