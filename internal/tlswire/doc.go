// Package tlswire reads the bytes of a TLS connection from beside it and tells
// what happened: records become handshake messages, and those become steps, one
// for each row of a ladder. It takes no part in the connection.
//
// Its main type is the [Parser]. Feed it the bytes of both directions, cut in
// any way, and it calls its emit function with one [Step] after the other and
// keeps what it learnt in a [State]. It reads SSL 3.0 to TLS 1.3 (RFC 5246,
// RFC 8446, RFC 8422), live and from captures alike.
//
// What TLS 1.3 sends encrypted during the handshake is read with the two
// handshake traffic secrets of the connection (RFC 8446 §7.1). They do not open
// application data, and each is wiped as soon as its side has finished. What
// TLS 1.2 sends after ChangeCipherSpec is named by its place and marked as not
// read.
//
// For a live connection, [Live] puts a lock around a Parser and [KeyRing] brings
// it the secrets: a KeyRing is the KeyLogWriter of the tls.Config.
//
// No goroutine is started here, no clock read and no I/O done, with the one
// exception of KeyRing.Tee. Everything that is kept is bounded: see the
// constants at the top of parser.go. Reading starts at Parser.Feed.
//
// Liberties taken with the RFCs, because a reader beside the connection should
// show much and refuse little: record versions are not compared, the order of
// handshake messages is not enforced, and a message that cannot be read is
// shown by its name together with a [Problem].
package tlswire
