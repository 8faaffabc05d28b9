package transport

import (
	"iter"
	"slices"
)

// standing is what a connection may be used for. Most never change it; a new
// configuration may, while the connection lives on. It is replaced as a whole
// with pool.mu held and read without.
type standing struct {
	key      Key // of a connection we dialled
	identity Identity
	retired  bool
	alias    Key  // of the connection of ours that an inbound one stands for
	judged   bool // whether it may is decided
}

// Key is the pool's key, the zero value for an inbound connection.
func (c *Conn) Key() Key { return c.standing.Load().key }

// Identity is what Hooks.Identify found. A UDP socket has none.
func (c *Conn) Identity() Identity { return c.standing.Load().identity }

// Retired says that the connection only serves the dialogs that live on it:
// what begins something new has no business there (see Endpoint.Retire and
// Listener.Retire).
func (c *Conn) Retired() bool { return c.standing.Load().retired }

// Alias is the key of the connection of ours that an inbound stream stands for
// (RFC 5923), the zero value for none; AliasJudged says that this is decided.
func (c *Conn) Alias() Key { return c.standing.Load().alias }

// AliasJudged says whether Endpoint.Alias was called.
func (c *Conn) AliasJudged() bool { return c.standing.Load().judged }

// Alias lets an inbound stream stand for a connection that we would dial with a
// key: Lookup and Dial return it when there is none of our own. The caller has
// proved that it is as good (RFC 5923 §8.2). The zero value means that it is not.
// It does nothing for a stream without TLS.
func (e *Endpoint) Alias(c *Conn, k Key) bool {
	return e.pool.change(c, func(s *standing) bool {
		if !c.info.Inbound || c.tls == nil {
			return false
		}
		s.alias, s.judged = k, true
		return true
	})
}

// Forget takes Alias back: it may be judged again.
func (e *Endpoint) Forget(c *Conn) {
	e.pool.change(c, func(s *standing) bool {
		s.alias, s.judged = Key{}, false
		return true
	})
}

// Review is Conns for whoever has just changed what Hooks.Identify goes by, and
// wants to judge each connection again. It misses none: those that are being
// identified at this moment are identified once more before they open.
func (e *Endpoint) Review() iter.Seq[*Conn] {
	e.pool.mu.Lock()
	e.pool.generation++
	e.pool.mu.Unlock()
	return e.Conns()
}

// Rekey notes that a stream passes under the policy that is in force now. k is
// its key with the new policy, the zero value for an inbound stream. From now on
// a dial with that key finds it, unless there is another one already; and it is
// not retired any more.
//
// It does nothing and returns false for a connection that has ended, and for a
// key that differs in more than the policy: what was verified for one name, or
// showed another certificate of ours, is not the same connection.
func (e *Endpoint) Rekey(c *Conn, k Key) bool {
	return e.pool.change(c, func(s *standing) bool {
		same := s.key
		same.Policy = k.Policy
		if same != k {
			return false
		}
		s.key, s.retired = k, false
		return true
	})
}

// Retire makes sure that nothing new finds a stream: neither Lookup and Dial nor
// PeerConns return it. What lives on it goes on, and Conns still has it. Rekey
// takes that back.
func (e *Endpoint) Retire(c *Conn) {
	e.pool.change(c, func(s *standing) bool {
		s.retired = true
		return true
	})
}

// Recognise gives an inbound stream of somebody unknown the identity that it
// turned out to have, or a known peer other names. It does nothing and returns
// false when the stream has ended, is one that we dialled, or belongs to another
// peer: whoever lives on it must not become somebody else.
func (e *Endpoint) Recognise(c *Conn, id Identity) bool {
	return e.pool.change(c, func(s *standing) bool {
		if !c.info.Inbound || s.identity.Peer != "" && s.identity.Peer != id.Peer {
			return false
		}
		s.identity = id
		return true
	})
}

// change alters the standing of a live connection, and its places in the pool
// with it.
func (p *pool) change(c *Conn, f func(*standing) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns[c.info.ID] != c || !c.Alive() {
		return false
	}
	s := *c.standing.Load()
	if !f(&s) {
		return false
	}
	p.unlist(c)
	c.standing.Store(&s)
	p.list(c)
	return true
}

// list lets new dialogs find a connection. The caller holds mu.
func (p *pool) list(c *Conn) {
	s := c.standing.Load()
	if s.retired {
		return
	}
	if other := p.byKey[s.key]; s.key != (Key{}) && (other == nil || !other.Alive()) {
		p.byKey[s.key] = c
	}
	if other := p.byAlias[s.alias]; s.alias != (Key{}) && (other == nil || !other.Alive()) {
		p.byAlias[s.alias] = c
	}
	if peer := s.identity.Peer; peer != "" {
		// In the order in which they opened, also one that was away for a while.
		conns := p.byPeer[peer]
		i := len(conns)
		for i > 0 && c.before(conns[i-1]) {
			i--
		}
		p.byPeer[peer] = slices.Insert(conns, i, c)
	}
}

// before says whether c opened before another connection.
func (c *Conn) before(other *Conn) bool {
	return c.opened.Before(other.opened) || c.opened.Equal(other.opened) && c.info.ID < other.info.ID
}

// unlist is the opposite of list. The caller holds mu.
func (p *pool) unlist(c *Conn) {
	s := c.standing.Load()
	if p.byKey[s.key] == c {
		delete(p.byKey, s.key)
	}
	peer := s.identity.Peer
	if i := slices.Index(p.byPeer[peer], c); i >= 0 {
		if p.byPeer[peer] = slices.Delete(p.byPeer[peer], i, i+1); len(p.byPeer[peer]) == 0 {
			delete(p.byPeer, peer)
		}
	}
	if p.byAlias[s.alias] == c {
		delete(p.byAlias, s.alias)
		for _, other := range p.byPeer[peer] {
			if other.Alias() == s.alias && other.Alive() {
				p.byAlias[s.alias] = other
			}
		}
	}
}
