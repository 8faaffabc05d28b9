// Package transport carries SIP messages over UDP, TCP, TLS (RFC 3261 §18) and
// WebSocket, with TLS and without (RFC 7118).
//
// The main type is [Endpoint]: a set of listeners, the live connections and
// the pool of those that may be used again. Reading starts there, then at
// [Conn]. The package decides no policy: who may connect, who somebody is and
// what a message means is asked of [Hooks].
//
// # Goroutines
//
// Each listener has one goroutine that accepts or reads, each stream
// connection one that reads. The reader takes what one read gave, cuts it into
// messages and hands them over as one batch. There is no goroutine for writing
// in the normal case: [Conn.Send] copies a message to what is pending,
// [Conn.Flush] seals and writes all of it at once and never waits. Only when
// the kernel takes no more does a goroutine start that writes the rest and
// ends; what waits is bounded, and when the bound is passed the connection
// ends with that reason. A reader never waits for a write. [Endpoint.Close]
// waits for every goroutine.
//
// # Half-open connections
//
// [Manner] says how a stream is kept alive and watched: pings with CRLF, the
// keep-alive of TCP, and how long bytes may be unacknowledged. The reader does it by
// its read deadline; no goroutine or timer belongs to it.
//
// # Below TLS
//
// Under each tls.Conn stands a wire: it reads into a buffer taken from a pool
// when the socket is readable, hands TLS one record at a time, never waits
// once the handshake is over (the reader waits on the socket itself), and
// collects sealed records for one write. On Linux its reads and writes are raw
// calls on the non-blocking socket; the build tag noraw, other systems and
// connections that are not sockets use ordinary calls, which hold a buffer while
// they wait and leave every write to a goroutine.
//
// # RFCs
//
// RFC 3261 §18 (transport), RFC 5626 §3.5.1 and §4.4.1 (keep-alive with CRLF),
// RFC 5246 §7.2.1 and RFC 8446 §6.1 (close_notify).
//
// A tls.Config given to this package should set DynamicRecordSizingDisabled:
// otherwise crypto/tls begins with records of one segment, and several messages
// do not fit one record.
package transport
