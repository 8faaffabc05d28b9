//go:build interop

package e2e

import "testing"

// TestPageOfAReusedConnection follows a call on a connection that another call opened: to that call, to the connection, and says why its
// legs are one call; a refused handshake in the list is named by its connection, on one line.
func TestPageOfAReusedConnection(t *testing.T) {
	s := newSite(t, "127.0.0.1", "1.3", "1.3", "ca")
	s.answered(t)
	opener := s.idOf(t, "ended")
	s.busy(t)
	busy := s.idOf(t, "busy")
	s.refused(t)
	refused := s.idOf(t, "refused")
	b := openPage(t, "http://"+s.admin, "/")
	b.until(`the calls are listed`, rows+`.length === 3`)
	b.is(`the handshake is named without the run`, `/^conn-\d+ /.test(`+rows+`[0]) && '`+refused+`'.endsWith('-' + `+rows+`[0].split(' ')[0])`)
	b.is(`all of its name is there`, `(e => e.scrollWidth <= e.clientWidth)(document.querySelector('#call-list [role=option] > span'))`)

	b.eval(`location.hash = '#/call/` + busy + `'`)
	b.until(`the call is open`, lines+`.some(l => l.includes('486'))`)
	b.eval(`[...document.querySelectorAll('#ladder [role=option]')].find(r => r.innerText.includes('reused connection')).click()`)
	b.until(`the row leads to the call that opened the connection`, `[...document.querySelectorAll('#inspector a')].some(a => a.hash.startsWith('#/call/`+opener+`'))`)
	b.key("y")
	b.until(`it says why the legs are one call, and how sure that is`, `/A and B: [^]*gateway record, 100 of 100/.test(document.querySelector('.why').innerText)`)
	b.eval(`[...document.querySelectorAll('#inspector a')].find(a => a.hash.startsWith('#/connections')).click()`)
	b.until(`it leads to the connection`, `document.querySelector('tr[aria-current=true]') !== null`)
	b.wantsQuiet()
}
