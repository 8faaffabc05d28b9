package ua

import (
	"context"
	"errors"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Server receives and sends SIP. Its fields are set before Start and then left
// alone, as those of an http.Server are. Set Handler, or ShardHandler for the
// level below it; with neither it is only a client, and refuses what it is asked.
type Server struct {
	Handler      Handler      // runs in a goroutine per dialog and may block
	ShardHandler ShardHandler // runs in the shard and must not block
	Shards       int          // 1 to 256; 0 means GOMAXPROCS
	Timers       transaction.Config
	Queues       Queues
	Limits       transport.Limits  // of connections; zero fields mean the defaults
	Network      transport.Network // nil means the system's
	// Resolver finds the servers of a SIP URI for targets without an address. nil
	// means the system's name servers. Several servers may share one.
	Resolver *resolve.Resolver

	// The hooks of the connections below: AdmitConn, WrapConn, Identify, Tap,
	// Opened, Confirmed, Refusing, Refused, Closed and Lost. Deliver is the server's own.
	// Without Identify, who is there is what the certificate proves: see Request.Proves.
	transport.Hooks

	// AdmitMessage is asked for every message before any state exists, in the
	// reader's goroutine. p.Err says what is malformed. nil lets the message
	// in, malformed ones are answered with their status then; a
	// *sip.StatusError answers a request without state; any other error drops
	// the message.
	AdmitMessage func(p *transport.Packet) error
	// Stray gets a response to an INVITE that belongs to no transaction any more, a
	// 2xx or a 1xx other than 100: who sent it came back on another connection, or
	// was late. The other side goes on ringing, or sends its 2xx again, until it gets
	// a CANCEL, or ACK and BYE (RFC 3261 §9.1, §13.2.2.4). It runs in the shard and
	// must not block; p is valid until it returns. False says that it knows nothing of
	// the call, and then, as with a nil Stray, the response is dropped and counted.
	// It is for a ShardHandler of the user's.
	Stray func(s *Shard, p *transport.Packet) bool
	// Reconnect dials a peer again whose connection has gone while a response
	// to it is due, or while there is a call that it placed, at its configured
	// address and under its policy. It runs in the shard and must not block;
	// deliver is called in the shard, with nil when there is no connection.
	Reconnect func(s *Shard, peer string, deliver func(*Shard, *transport.Conn))

	// What follows is for Handler and the client; the shard level writes its own.

	// Supported are the option tags that the Handler knows; a request that requires
	// others gets a 420.
	Supported []string
	// Advertise says which host and port Via and Contact show on a connection; nil
	// or an empty answer means the listener's address.
	Advertise func(c *transport.Conn) string

	// LargeOverUDP lets requests of more than 1300 bytes go by UDP. Otherwise one
	// to a place on UDP goes by TCP to the same address and port, and by UDP only when
	// that takes no TCP (RFC 3261 §18.1.1).
	LargeOverUDP bool

	endpoint     *transport.Endpoint
	ownResolver  resolve.Resolver // for a nil Resolver
	withoutTCP   withoutTCP
	shardHandler ShardHandler
	sessions     *sessions     // nil with a ShardHandler of the user's
	next         atomic.Uint64 // which shard gets the next request of ours
	queues       Queues
	seed         maphash.Seed
	shards       []*Shard
	work         sync.WaitGroup
	stats        stats
}

// Queues bound what waits inside a server. Zero fields mean the defaults.
type Queues struct {
	Mailbox int           // packets waiting for one shard: 8192
	Jobs    int           // blocking jobs under way for one shard: 4096
	Wait    time.Duration // how long a stream's reader waits for a full shard: 5 s

	// Of all shards together; each has an equal part.
	Bytes        int // of packets waiting: 64 MiB
	Transactions int // in both directions: 250,000
}

func (l Queues) withDefaults() Queues {
	if l.Mailbox == 0 {
		l.Mailbox = 8192
	}
	if l.Jobs == 0 {
		l.Jobs = 4096
	}
	if l.Wait == 0 {
		l.Wait = 5 * time.Second
	}
	if l.Bytes == 0 {
		l.Bytes = 64 << 20
	}
	if l.Transactions == 0 {
		l.Transactions = 250_000
	}
	return l
}

type stats struct {
	strayResponses, overload, dropped, malformed, lostResponses atomic.Uint64
}

// Stats counts what never reached a handler or a peer.
type Stats struct {
	StrayResponses uint64 // responses to no request of ours that Stray did not know either
	Overload       uint64 // requests answered with 503 for a full queue
	Dropped        uint64 // messages dropped: not admitted, or a full queue on UDP
	Malformed      uint64 // messages that broke the grammar
	LostResponses  uint64 // responses whose connection had gone with no other to take
}

// Stats returns the counters.
func (srv *Server) Stats() Stats {
	return Stats{
		StrayResponses: srv.stats.strayResponses.Load(),
		Overload:       srv.stats.overload.Load(),
		Dropped:        srv.stats.dropped.Load(),
		Malformed:      srv.stats.malformed.Load(),
		LostResponses:  srv.stats.lostResponses.Load(),
	}
}

// Start makes the shards and the endpoint. Listen and Dial work from now on.
// Whoever calls it calls Close once.
func (srv *Server) Start() error {
	if srv.Shards == 0 {
		srv.Shards = min(runtime.GOMAXPROCS(0), 256)
	}
	if srv.Shards < 1 || srv.Shards > 256 {
		return errors.New("ua: a server has 1 to 256 shards")
	}
	srv.shardHandler = srv.ShardHandler
	if srv.shardHandler == nil {
		srv.sessions = newSessions(srv)
		srv.shardHandler = srv.sessions
	}
	srv.queues = srv.Queues.withDefaults()
	srv.Timers = srv.Timers.WithDefaults()
	srv.seed = maphash.MakeSeed()
	hooks := srv.Hooks
	if hooks.Identify == nil {
		hooks.Identify = identifyByTLS
	}
	hooks.Deliver, hooks.Closed = srv.deliver, srv.connClosed
	srv.endpoint = transport.New(transport.Config{Hooks: hooks, Limits: srv.Limits, Network: srv.Network})
	for i := range srv.Shards {
		srv.shards = append(srv.shards, newShard(srv, i))
	}
	for _, s := range srv.shards {
		go s.run()
	}
	return nil
}

// Listen accepts on one more address.
func (srv *Server) Listen(cfg transport.ListenConfig) (*transport.Listener, error) {
	return srv.endpoint.Listen(cfg)
}

// Endpoint returns the connections below the server.
func (srv *Server) Endpoint() *transport.Endpoint { return srv.endpoint }

// NumShards returns how many shards there are.
func (srv *Server) NumShards() int { return len(srv.shards) }

// Do runs f in the shard with the number i and waits for it to return. It must
// not be called from a shard. False means that the server has ended.
func (srv *Server) Do(i int, f func(*Shard)) bool {
	done := make(chan struct{})
	s := srv.shards[i]
	if !s.box.post(func(s *Shard) { f(s); close(done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-s.ended:
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
}

// Post has f run in the shard with the number i and does not wait. False means
// that the server has ended and f is not run.
func (srv *Server) Post(i int, f func(*Shard)) bool { return srv.shards[i].box.post(f) }

// Close ends the server: connections are closed with their close_notify,
// shards end, and every goroutine that the server started is waited for. ctx
// bounds how long connections may take to send what they hold.
//
// With a Handler the contexts of all requests and calls end first; calls are not
// hung up.
func (srv *Server) Close(ctx context.Context) error {
	if srv.sessions != nil {
		srv.sessions.close()
	}
	for _, s := range srv.shards {
		s.box.post(func(s *Shard) { s.flush() })
	}
	err := srv.endpoint.Close(ctx)
	for _, s := range srv.shards {
		s.box.post(func(s *Shard) { s.quit = true })
	}
	for _, s := range srv.shards {
		<-s.ended
	}
	srv.work.Wait()
	return err
}

// connClosed tells the owner and the shards about a connection that ended.
func (srv *Server) connClosed(c *transport.Conn, why transport.CloseReason) {
	if srv.Closed != nil {
		srv.Closed(c, why)
	}
	cause := why.Err
	if cause == nil {
		cause = errors.New(why.Text)
	}
	for _, s := range srv.shards {
		s.box.post(func(s *Shard) { s.closed(c, cause) })
	}
}

// Instead returns the newest stream that can take the place of one that has
// gone: of the same peer, and over TLS if that was; nil when there is none. It is
// never a retired one.
func (srv *Server) Instead(old *transport.Conn) *transport.Conn {
	peer := old.Identity().Peer
	if peer == "" {
		return nil
	}
	for _, c := range srv.endpoint.PeerConns(peer) {
		if c != old && c.Transport().Secure() == old.Transport().Secure() {
			return c
		}
	}
	return nil
}

// browser says whether nothing but the connection itself leads back to who opened
// it.
func browser(c *transport.Conn) bool { return c.Transport().WebSocket() && c.Info().Inbound }

// reroute sends a response whose connection has gone: on another connection of
// the same peer, or on a new one to the peer's configured address (RFC 3261
// §18.2.2, but never to a place named in a Via). What came over TLS goes back
// over TLS or not at all. To a request that came on a WebSocket "responses can only be
// sent over the existing WebSocket connection" (RFC 7118 §5.3): another one of the peer's
// may be that of another browser.
func (srv *Server) reroute(s *Shard, old *transport.Conn, b []byte) {
	peer, secure := old.Identity().Peer, old.Transport().Secure()
	if browser(old) {
		srv.stats.lostResponses.Add(1)
		return
	}
	if c := srv.Instead(old); c != nil && s.transmit(Flow{Conn: c}, b) == nil {
		return
	}
	if peer == "" || srv.Reconnect == nil {
		srv.stats.lostResponses.Add(1)
		return
	}
	kept := append([]byte(nil), b...)
	srv.Reconnect(s, peer, func(s *Shard, c *transport.Conn) {
		if c == nil || c.Transport().Secure() != secure || s.transmit(Flow{Conn: c}, kept) != nil {
			srv.stats.lostResponses.Add(1)
		}
	})
}
