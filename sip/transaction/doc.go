// Package transaction is the transaction layer of SIP: RFC 3261 §17 as changed
// by RFC 6026, with what RFC 4320 asks of requests other than INVITE.
//
// Reading starts at Layer: it matches messages to transactions (RFC 3261
// §17.1.3, §17.2.3), drives one of the four machines for each, and tells its
// User, the transaction user (TU) in the RFC's words, what to send and what has
// come. The machines stand in invite_client.go, invite_server.go,
// noninvite_client.go and noninvite_server.go, each below its drawing. Timers
// is the alarm clock of a shard, which the TU may use for its own alarms too.
//
// Nothing here has a goroutine, a lock, a clock or a socket. One goroutine owns
// a Layer with its Timers and transactions, gives the time to every call, and
// performs what User is asked for.
package transaction
