package tlswire

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxSecret is the length in bytes of the longest traffic secret (SHA-384).
const maxSecret = 48

// Live reads the handshake of one running connection. Its methods may be called
// by several goroutines at once: the connection's reader and writer, and
// crypto/tls through a KeyRing.
//
// Steps are handed out one at a time, in order, and with no lock held, so the
// emit function may call State and Done. When two goroutines feed at once, one of
// them hands out the steps of both.
type Live struct {
	ring *KeyRing
	emit func(Step)
	over atomic.Bool // Done was called

	mu      sync.Mutex // guards what follows
	parser  *Parser
	known   bool // the ring was told of this connection
	secret  [2][maxSecret]byte
	length  [2]int // bytes of secret that wait to be given to the parser
	out     []Step // not yet handed out
	handing bool   // a goroutine is handing out
}

// NewLive returns a Live that reports its steps to emit. The ring brings the
// handshake secrets; it must be the KeyLogWriter of the connection's tls.Config.
// Without one (nil), the encrypted part of TLS 1.3 handshakes is shown unread as
// it comes, and Secret changes nothing.
func NewLive(ring *KeyRing, emit func(Step)) *Live {
	l := &Live{ring: ring, emit: emit}
	l.parser = New(func(s Step) { l.out = append(l.out, s) })
	if ring == nil {
		l.parser.Flush()
	}
	return l
}

// Feed takes bytes as Parser.Feed does. For our own side call it before the bytes
// are written, for the other after they were read and before crypto/tls gets
// them: then the ring knows the connection when its secrets are made. After Done
// it does nothing.
func (l *Live) Feed(from Side, at time.Time, b []byte) {
	if l.over.Load() {
		return
	}
	l.mu.Lock()
	if l.over.Load() {
		l.mu.Unlock()
		return
	}
	l.useSecrets()
	l.parser.Feed(from, at, b)
	random, seen := l.parser.ClientRandom()
	register := seen && !l.known && l.ring != nil
	l.known = l.known || register
	l.mu.Unlock()

	if register {
		l.ring.add(random, l)
		if l.over.Load() { // Done may have come before add
			l.ring.remove(random, l)
		}
	}
	l.handOut()
}

// Secret gives the connection a secret under its key-log label, as the ring
// does. It is used with the next Feed or Done, whichever comes first.
func (l *Live) Secret(label string, secret []byte) {
	if from, ok := handshakeLabel([]byte(label)); ok && len(secret) <= maxSecret {
		l.putSecret(from, secret)
	}
}

func (l *Live) putSecret(from Side, secret []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over.Load() {
		clear(l.secret[from][:])
		l.length[from] = copy(l.secret[from][:], secret)
	}
}

// useSecrets gives the parser what waits and wipes it here. The caller holds mu.
func (l *Live) useSecrets() {
	for from, label := range [...]string{Client: LabelClientHandshake, Server: LabelServerHandshake} {
		if n := l.length[from]; n > 0 {
			l.parser.Secret(label, l.secret[from][:n])
			l.length[from] = 0
			clear(l.secret[from][:])
		}
	}
}

// Done ends the reading, normally when the handshake has its verdict: what waits
// is shown, secrets, keys and buffers are wiped, and the ring forgets the
// connection. State stays. It may be called again, and from emit. Steps that
// another goroutine is just then handing out may come after Done returned.
func (l *Live) Done() {
	if l.over.Swap(true) {
		return
	}
	l.mu.Lock()
	l.useSecrets()
	l.parser.Flush()
	l.parser.wipe()
	random, _ := l.parser.ClientRandom()
	known := l.known
	l.mu.Unlock()

	if known {
		l.ring.remove(random, l)
	}
	l.handOut()
}

// Over reports whether Done was called.
func (l *Live) Over() bool { return l.over.Load() }

// State returns what is known so far.
func (l *Live) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parser.State()
}

// ClientRandom returns the random value of the ClientHello, and whether one was
// seen.
func (l *Live) ClientRandom() ([32]byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parser.ClientRandom()
}

// handOut calls emit for every step that waits, unless another goroutine, or the
// caller further up its own stack, is doing so.
func (l *Live) handOut() {
	l.mu.Lock()
	if l.handing {
		l.mu.Unlock()
		return
	}
	l.handing = true
	for len(l.out) > 0 {
		steps := l.out
		l.out = nil
		l.mu.Unlock()
		for _, s := range steps {
			l.emit(s)
		}
		l.mu.Lock()
	}
	l.handing = false
	l.mu.Unlock()
}
