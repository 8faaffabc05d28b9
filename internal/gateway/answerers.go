package gateway

import (
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// answerers are the addresses that names of peers led to and that requests went
// to over UDP. Responses are taken from there though no accept_from has them: the
// DNS says where a peer is asked, and that may change at any time. A request from there
// is a stranger's all the same, since the DNS does not say who a peer is.
type answerers struct {
	mu sync.RWMutex // guards at
	at map[netip.AddrPort]time.Time
}

// maxAnswerers is how many are kept, those that were asked last.
const maxAnswerers = 4096

// note remembers that a request goes to an address.
func (a *answerers) note(addr netip.AddrPort, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil {
		a.at = make(map[netip.AddrPort]time.Time)
	}
	if _, known := a.at[addr]; !known && len(a.at) >= maxAnswerers {
		oldest, since := addr, now
		for each, t := range a.at {
			if !t.After(since) {
				oldest, since = each, t
			}
		}
		delete(a.at, oldest)
	}
	a.at[addr] = now
}

// answers says whether a packet of nobody that we know is a response to a request
// of ours: it comes from where one went, and its branch is one that we drew. That
// the branch is of a transaction which goes on, the shard sees; nobody can guess the 64
// bits that it was drawn from (RFC 3261 §17.1.3).
func (a *answerers) answers(p *transport.Packet) bool {
	if p.Msg.IsRequest() || p.Conn.Transport() != transport.UDP {
		return false
	}
	if via, err := p.Msg.Via(); err != nil || !ua.OwnBranch(via.Branch()) {
		return false
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	_, asked := a.at[netip.AddrPortFrom(p.Source.Addr().Unmap(), p.Source.Port())]
	return asked
}
