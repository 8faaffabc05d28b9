//go:build interop

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport-sip/sallyport/sip/ua"
)

// newPageSite is a gateway with three things to look at: a call that was answered, one that was busy, and a handshake that
// was refused.
func newPageSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t, "127.0.0.1", "1.3", "1.3", "ca")
	s.answered(t)
	s.busy(t)
	s.refused(t)
	return s
}

// refused shows the gateway a certificate of a CA that it does not know.
func (s *site) refused(t *testing.T) {
	t.Helper()
	sallyport(t, s.dir, "cert", "self-signed", "--sip", "rogue.example", "--out", "rogue.pem")
	rogue, err := tls.LoadX509KeyPair(filepath.Join(s.dir, "rogue.pem"), filepath.Join(s.dir, "rogue-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", s.entry["tls"].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := tls.Client(nc, &tls.Config{
		InsecureSkipVerify: true,
		// It is shown although the gateway asks for one of a CA that it knows.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &rogue, nil },
	})
	if err := c.Handshake(); err == nil {
		_, err = c.Read(make([]byte, 1)) // in TLS 1.3 the client hears of it afterwards
		if err == nil {
			t.Error("the gateway takes a certificate that nobody knows")
		}
	}
}

// rows is the text of each row of the list, with one blank between words.
const rows = `[...document.querySelectorAll('#call-list [role=option]')].map(r => r.innerText.replace(/\s+/g, ' ').trim())`

// lines is the text of each row of the ladder.
const lines = `[...document.querySelectorAll('#ladder [role=option]')].map(r => r.innerText.replace(/\s+/g, ' ').trim())`

// cursor is the text of the ladder's row under the cursor.
const cursor = `(document.querySelector('#ladder [aria-selected=true]')?.innerText ?? '').replace(/\s+/g, ' ')`

// TestPageShowsCalls has the page of a gateway show what it did, and then a call that happens while it is open, without being
// loaded again.
func TestPageShowsCalls(t *testing.T) {
	s := newPageSite(t)
	b := openPage(t, "http://"+s.admin, "/")
	b.until(`the three of them are listed`, rows+`.length === 3`)
	b.until(`a handshake that was refused has a row of its own`, rows+`[0].includes('✗ refused') && `+rows+`[0].includes('✗13')`)
	b.until(`the busy call is there`, rows+`[1].includes('⊘ busy') && `+rows+`[1].replaceAll(' ', '').includes('13m›13m')`)
	b.until(`so is the one that was answered`, rows+`[2].includes('✓ ended') && `+rows+`[2].includes('alice@caller.example')`)
	b.eval(`void (window.untouched = true)`)

	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, theirs := s.talk(ctx, t)
	b.until(`a new call shows by itself`, rows+`.length === 4 && `+rows+`[0].includes('● answered')`)
	b.key("p")
	b.until(`the view says that it is frozen`, `document.body.innerText.includes('frozen')`)
	if err := ours.Bye(ctx); err != nil {
		t.Fatal(err)
	}
	wantOver(ctx, t, theirs)
	b.until(`what changes is counted while the view is frozen`, `/[1-9]\d* changed/.test(document.body.innerText)`)
	b.is(`a frozen view does not change`, rows+`[0].includes('● answered')`)
	b.key("p")
	b.until(`it goes on with what it missed`, rows+`[0].includes('✓ ended')`)
	b.is(`the page was not loaded again`, `window.untouched === true`)
	b.wantsQuiet()
}

// TestPageLadder opens ladders: the sentence first, the handshake of a hop folded to one row and opened by a key, a refusal open
// with the cursor on the row that failed, and both verdicts with how each is known.
func TestPageLadder(t *testing.T) {
	s := newPageSite(t)
	b := openPage(t, "http://"+s.admin, "/")
	b.until(`the calls are listed`, rows+`.length === 3`)
	b.eval(`document.getElementById('call-list').focus()`)
	b.key(kb.End + kb.Enter)
	b.until(`the ladder of the call is open`, lines+`.length > 10`)
	b.until(`its sentence stands above it`, `document.querySelector('.call h1').innerText.includes('Ended by caller on hop A')`)
	b.is(`each hop has one row for its handshake`, lines+`.filter(l => /▸ TLS 1.3 mutual \d+ steps .* ✓/.test(l)).length === 2`)
	b.is(`no step of a good handshake shows`, `!`+lines+`.some(l => l.includes('ClientHello'))`)

	b.key("v")
	b.until(`the key unfolds the hop under the cursor`, lines+`.filter(l => l.includes('ClientHello')).length === 1`)
	b.is(`the address says so`, `/[?&]tls=A(&|$)/.test(location.hash)`)
	b.key("v")
	b.until(`and folds it again`, `!`+lines+`.some(l => l.includes('ClientHello'))`)

	b.key("j")
	b.until(`the cursor goes down to the INVITE`, cursor+`.includes('INVITE')`)
	b.is(`the inspector has the message`, `document.querySelector('#inspector pre').innerText.startsWith('INVITE sip:+490@')`)
	b.is(`the address names the row`, `/^#\/call\/[^/]+\/row\/\d+/.test(location.hash)`)
	b.eval(`[...document.querySelectorAll('#inspector button')].find(x => x.innerText.startsWith('What the gateway changed')).click()`)
	b.until(`the same message of both hops is compared`, `document.querySelector('#inspector pre').innerText.split('\n').some(l => /\+ .*Call-ID/.test(l))`)

	b.open("/#/calls")
	b.until(`the list is back`, rows+`.length === 3`)
	b.eval(`document.getElementById('call-list').focus()`)
	b.key(kb.Home + kb.Enter)
	b.until(`the refusal is open`, lines+`.some(l => l.includes('ClientHello'))`)
	b.until(`the cursor is where it failed`, cursor+`.includes('Alert')`)
	b.is(`both verdicts are there`, `(t => t.includes('✗ refused by the gateway own decision') && t.includes('✓ accepted by 127.0.0.1 inferred'))(document.getElementById('inspector').innerText.replace(/\s+/g, ' '))`)
	b.wantsQuiet()
}

// TestPageOfNoSuchCall says of an address of a call that is not there that it is not, and leads back.
func TestPageOfNoSuchCall(t *testing.T) {
	s := newSite(t, "127.0.0.1", "udp", "udp", "ca")
	b := openPage(t, "http://"+s.admin, "/call/40404")
	b.until(`it says so`, `document.querySelector('.call').innerText.includes('40404') && document.querySelector('.call .tone-bad') !== null`)
	b.eval(`[...document.querySelectorAll('.call button')].find(x => x.innerText === 'Back to the calls').click()`)
	b.until(`the list is there`, `document.body.innerText.includes('No calls yet')`)
}

// TestPageFilters has the list show what a filter wants, and mark a mistake in one where it is.
func TestPageFilters(t *testing.T) {
	s := newPageSite(t)
	b := openPage(t, "http://"+s.admin, "/")
	b.until(`the calls are listed`, rows+`.length === 3`)
	b.eval(`document.getElementById('filter').focus()`)
	b.key("state:busy" + kb.Enter)
	b.until(`only the busy one is left`, rows+`.length === 1 && `+rows+`[0].includes('⊘ busy')`)
	b.is(`the address has the filter`, `location.hash.includes('filter=state')`)
	b.key(" bogus:3" + kb.Enter)
	b.until(`a mistake is marked`, `(e => e.includes('bogus') && /\n +\^\^\^\^\^$/.test(e.trimEnd()))(document.getElementById('filter-error').textContent)`)
	b.open("/#/calls?filter=-state:busy")
	b.until(`a filter of the address holds`, rows+`.length === 2`)
}

// TestPageAddress has the address of the page hold call, row, filter, fold and view: another browser that is given it shows the
// same, and back and forward go through what was opened.
func TestPageAddress(t *testing.T) {
	s := newPageSite(t)
	id := s.idOf(t, "ended")
	b := openPage(t, "http://"+s.admin, "/call/"+id+"/row/14?tls=B&time=clock")
	b.until(`a typed address leads to the row`, `location.hash.startsWith('#/call/`+id+`/row/14')`)
	b.until(`which is under the cursor`, `document.getElementById('inspector').innerText.includes('row 14')`)
	b.until(`the hop of the address is open, and no other`, lines+`.filter(l => l.includes('ClientHello')).length === 1`)
	b.is(`times are as the address says`, `/^\d\d:\d\d:\d\d\.\d{3} /.test(`+lines+`[0])`)
	b.eval(`document.getElementById('tab-timing').click()`)
	b.until(`the view is in the address`, `location.hash.includes('tab=timing') && document.body.innerText.includes('INVITE to 100')`)
	b.eval(`document.getElementById('tab-raw').click()`)
	b.until(`all messages are there`, `document.querySelectorAll('article pre').length > 8`)
	b.eval(`history.back()`)
	b.until(`back is timing`, `document.body.innerText.includes('INVITE to 100')`)
	b.eval(`history.back()`)
	b.until(`back again is the ladder, with the row`, `document.getElementById('inspector')?.innerText.includes('row 14')`)
	b.eval(`history.forward()`)
	b.until(`and forward`, `document.body.innerText.includes('INVITE to 100')`)
	b.wantsQuiet()
}

// TestPageForAll looks at every page in both themes with axe, which finds nothing serious, and at the width of a small telephone,
// where no page is wider than the screen.
func TestPageForAll(t *testing.T) {
	axe := axeSource(t)
	s := newPageSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	var up []*ua.Call
	ours, theirs := s.talk(ctx, t)
	up = append(up, ours, theirs)
	defer func() {
		for _, c := range up[:1] {
			c.Bye(ctx)
		}
	}()
	ended, refused := s.idOf(t, "ended"), s.idOf(t, "refused")
	b := openPage(t, "http://"+s.admin, "/")
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1440, 360} {
			b.screen(width, 780, scheme)
			for _, v := range []struct{ at, ready string }{
				{"calls", rows + `.length === 4`},
				{"call/" + ended, lines + `.length > 10`},
				{"call/" + ended + "/row/13?inspect", `document.getElementById('inspector')?.querySelector('pre') !== null`},
				{"call/" + refused, lines + `.some(l => l.includes('ClientHello'))`},
				{"call/" + ended + "?tab=timing", `document.body.innerText.includes('INVITE to 100')`},
				{"call/" + ended + "?tab=raw", `document.querySelector('article pre') !== null`},
				{"findings", `document.querySelector('h1')?.innerText === 'Findings'`},
				{"connections", `document.querySelector('tbody tr') !== null`},
				{"handshakes", `document.querySelector('tbody tr') !== null`},
				{"peers", `document.querySelector('tbody tr') !== null`},
				{"certificates", `document.querySelector('tbody tr') !== null`},
				{"configuration", `document.querySelectorAll('h2').length > 3`},
			} {
				what := fmt.Sprintf("%s, %s, %d pixels", v.at, scheme, width)
				b.eval(`location.hash = '#/` + v.at + `'`)
				b.until(what+" is there", v.ready)
				b.is(what+": nothing is wider than the screen", `document.documentElement.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth`)
				b.is(what+": the theme is as the system says", `getComputedStyle(document.body).backgroundColor === '`+map[string]string{"light": "rgb(242, 244, 247)", "dark": "rgb(14, 17, 22)"}[scheme]+`'`)
				for _, found := range b.axe(axe) {
					t.Errorf("%s: axe: %s", what, found)
				}
			}
		}
	}
	b.wantsQuiet()
}

// idOf is the id of a flow in a state.
func (s *site) idOf(t *testing.T, state string) string {
	t.Helper()
	var id string
	eventually(sitePatience, func() bool {
		for _, f := range flows(t, s.admin) {
			if f.State == state {
				id = f.ID
			}
		}
		return id != ""
	})
	if id == "" {
		t.Fatalf("no flow is %s", state)
	}
	return id
}
