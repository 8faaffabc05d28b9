// Package peer says who is on the other side.
//
// [Compile] turns the peers of a configuration into a [Table], which is
// immutable: a reload compiles another one. [Table.Identify] finds the [Peer]
// that a connection or a datagram belongs to: by certificate where the peer has
// certificate names, by source address where it has none. What changes while
// the gateway runs is in [State], which passes from one table to the next by
// the peer's name. [Check] finds peers that one connection could match.
//
// Nothing here does I/O, and there are no goroutines. Everything may be used by
// all goroutines at once.
package peer
