package recorder

import (
	"crypto/x509"
	"net/netip"
	"sync"
	"time"
	"unsafe"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/internal/tlswire"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// A shake is one handshake as it is kept: what was parsed on the way, shared with who parsed it. A callflow.Handshake is made of it only
// when somebody reads.
type shake struct {
	id     int64
	run    string     // of the gateway
	source netip.Addr // of who called; not valid for a connection that we made
	known  bool       // a peer of the configuration, or somebody at the address of one
	window *likes     // in which it was counted; nil for none; guarded by shakes.mu

	mu       sync.Mutex // guards what follows
	link     *callflow.Link
	address  string // the peer whose address this is, when it is not identified
	began    time.Time
	ended    time.Time // when the outcome was known
	steps    []callflow.HopStep
	state    tlswire.State
	ours     [][]byte
	theirs   [][]byte
	wanted   []string
	verdicts []callflow.Verdict
	repeats  int
	until    time.Time
}

// failed reports whether it came to nothing. The caller holds mu, or nobody else has the shake yet.
func (s *shake) failed() bool {
	for i := range s.verdicts {
		if v := &s.verdicts[i]; !v.Accepted && !v.Undecided {
			return true
		}
	}
	return len(s.verdicts) == 0
}

// code is that of the first verdict which is no.
func (s *shake) code() string {
	for i := range s.verdicts {
		if v := &s.verdicts[i]; !v.Accepted && !v.Undecided {
			return v.Code
		}
	}
	return ""
}

// record makes the document.
func (s *shake) record() *callflow.Handshake {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.link
	h := &callflow.Handshake{
		ID: store.FormatID(s.id), Run: s.run, Connection: l.ID, At: s.began.UTC(), Took: s.ended.Sub(s.began), Role: callflow.RoleClient,
		Transport: l.Transport, Local: l.Local, Remote: l.Remote, Peer: l.Peer, Address: s.address,
		Repeats: s.repeats, Until: s.until.UTC(),
		Steps:   append([]callflow.HopStep{}, s.steps...),
		Offered: offered(&s.state), Chosen: chosen(&s.state),
		Asked: s.state.ClientCertificateRequested, AskedCAs: authorities(s.state.AcceptableCAs),
		OurChain: append([][]byte{}, s.ours...), PeerChain: append([][]byte{}, s.theirs...),
		NamesFound: namesIn(s.theirs), NamesWanted: append([]string{}, s.wanted...),
		Verdicts: append([]callflow.Verdict{}, s.verdicts...),
	}
	if l.Inbound {
		h.Role, h.Listener = callflow.RoleServer, l.Listener
	}
	h.Conclude()
	return h
}

func offered(st *tlswire.State) callflow.Offer {
	o := callflow.Offer{
		Versions: []string{}, Suites: []string{}, Groups: []string{}, KeyShares: []string{}, Schemes: []string{}, ALPN: []string{},
		ServerName: st.SNI,
	}
	if w := st.Offer; w != nil {
		o.Versions, o.Suites, o.Groups = texts(w.Versions), texts(w.Suites), texts(w.Groups)
		o.KeyShares, o.Schemes = texts(w.KeyShares), texts(w.Schemes)
		o.ALPN = append(o.ALPN, w.ALPN...)
		o.Resumption, o.EarlyData = w.Resumption, w.EarlyData
	}
	return o
}

func chosen(st *tlswire.State) callflow.Chosen {
	return callflow.Chosen{
		Version: st.Version, Suite: st.Suite, Group: st.Group, ALPN: st.ALPN, HelloRetry: st.HelloRetry, Resumed: st.Resumed,
		Schemes: texts(st.RequestedSchemes),
	}
}

func texts[T interface{ String() string }](of []T) []string {
	words := make([]string, len(of))
	for i, v := range of {
		words[i] = v.String()
	}
	return words
}

// authorities are the names of CAs in words.
func authorities(ders [][]byte) []string {
	names := make([]string, 0, len(ders))
	for _, der := range ders {
		names = append(names, tlswire.NameString(der))
	}
	return names
}

// namesIn are the identities of the leaf of a chain (RFC 5922 §7.1).
func namesIn(chain [][]byte) []string {
	names := []string{}
	if len(chain) == 0 {
		return names
	}
	if c, err := x509.ParseCertificate(chain[0]); err == nil {
		for _, n := range domaincert.Names(c) {
			names = append(names, n.String())
		}
	}
	return names
}

// newShake begins the record of a connection.
func newShake(k *conn) *shake {
	s := &shake{run: k.r.run, began: k.info.Begun, link: k.link.Load()}
	if s.began.IsZero() {
		s.began = time.Now()
	}
	if k.info.Inbound {
		s.source = k.info.Remote.Addr()
	}
	return s
}

// step adds a step.
func (s *shake) step(at time.Time, step *callflow.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, callflow.HopStep{Step: step, Since: max(0, at.Sub(s.began))})
}

// judged adds a verdict.
func (s *shake) judged(v *callflow.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verdicts = append(s.verdicts, *v)
}

// lastMessage is the last message of the handshake that was seen, and whether we sent it.
func (s *shake) lastMessage() (name string, ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.steps) - 1; i >= 0; i-- {
		switch st := s.steps[i].Step; st.Name {
		case callflow.NameAlert, callflow.NameProblem, callflow.NameApplicationData, tlswire.NameEncryptedHandshake:
		default:
			return st.Name, st.ByGateway
		}
	}
	return "", false
}

// learn takes over what is known of the connection now.
func (s *shake) learn(k *conn, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link, s.ended = k.link.Load(), now
	if k.live == nil {
		return
	}
	s.state = k.live.State()
	s.ours, s.theirs = s.state.ClientCertificates, s.state.ServerCertificates
	if k.info.Inbound {
		s.ours, s.theirs = s.theirs, s.ours
	}
	if name := s.link.Peer; name != "" && k.r.names != nil {
		s.wanted = k.r.names(name)
	}
}

// confirmed notes when the peer has accepted, too.
func (s *shake) confirmed(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = now
}

// keep takes the record of a connection whose outcome is known, as far as our side goes.
func (k *conn) keep(now time.Time) {
	s := k.shake
	if s == nil {
		return
	}
	s.learn(k, now)
	if l := k.link.Load(); l.Peer != "" {
		role := callflow.RoleServer
		if l.Inbound {
			role = callflow.RoleClient
		}
		good := s.acceptedByUs()
		if good {
			k.r.shakes.proved(k.info.Remote.Addr(), l.Peer)
		}
		k.r.shakes.saw(l.Peer, role, now, good, s.theirs)
	}
	if s := k.r.shakes.add(s, now); s != nil && !s.open() {
		k.r.write(s)
	}
}

// write gives a record to the store, for the first time or as it is now.
func (r *Recorder) write(s *shake) {
	to := r.keeper.Load()
	if to == nil {
		return
	}
	s.mu.Lock()
	kind := store.OfStranger
	switch {
	case s.known && s.failed():
		kind = store.PeerFailure
	case s.link.Peer != "":
		kind = store.PeerSuccess
	}
	s.mu.Unlock()
	to.PutHandshake(s.id, kind, s.record)
}

// open reports whether only the gateway has accepted so far.
func (s *shake) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.verdicts {
		if v := &s.verdicts[i]; !v.ByGateway && !v.Undecided {
			return false
		}
	}
	return !s.failed()
}

// acceptedByUs reports whether the gateway said yes.
func (s *shake) acceptedByUs() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.verdicts {
		if v := &s.verdicts[i]; v.ByGateway && v.Accepted {
			return true
		}
	}
	return false
}

// weigh estimates the memory of s without its chains and lists of CAs.
func (s *shake) weigh() int {
	n := int(unsafe.Sizeof(*s)) + int(unsafe.Sizeof(callflow.Link{}))
	for i := range s.steps {
		n += stepSize + len(s.steps[i].Note)
	}
	for i := range s.verdicts {
		n += int(unsafe.Sizeof(s.verdicts[i])) + len(s.verdicts[i].Reason) + len(s.verdicts[i].Remedy)
	}
	if o := s.state.Offer; o != nil {
		n += int(unsafe.Sizeof(*o)) + 2*(len(o.Versions)+len(o.Suites)+len(o.Groups)+len(o.KeyShares)+len(o.Schemes))
		for _, p := range o.ALPN {
			n += 16 + len(p)
		}
	}
	return n + len(s.state.SNI) + len(s.address)
}

// stepSize is a step with what its fields usually hold.
const stepSize = int(unsafe.Sizeof(callflow.HopStep{})+unsafe.Sizeof(callflow.Step{})) + 64
