// Package ua sends and receives SIP: it is to SIP what net/http is to HTTP.
//
// A [Server] is both, user agent server and client (RFC 3261 §8), over UDP, TCP
// and TLS. What it is asked goes to its [Handler], as in net/http:
//
//	srv := &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
//		switch r.Msg.Method() {
//		case sip.OPTIONS:
//			r.Reply(200, ua.Header("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS"))
//		case sip.INVITE:
//			r.Reply(180)
//			call, err := r.Accept(ua.Body("application/sdp", answer(r.Msg.Body())))
//			...
//		}
//	})}
//
// What it asks others leaves by [Server.Send] and [Server.Invite], towards a
// [Target]. Both sides' calls are a [Call]. The library sends what no user needs
// to see: retransmissions, 100, ACK, CANCEL, the answers to CANCEL and BYE, the
// 481 for dialogs that do not exist, the ACK and BYE to a fork that lost.
//
// # Two levels
//
// A Handler may block: each request runs in a goroutine, one after the other
// for each Call-ID, in the order in which they came. Below it stand the shards:
// each [Shard] is one goroutine that owns a part of all transactions, dialogs
// and timers, without locks; requests go to the shard of their Call-ID,
// responses to the shard whose number is in our branch. A [ShardHandler] runs
// there and must not block. Handler is written on it, in sessions.go. A program
// sets one of the two.
//
// Reading starts at [Server], then goes up to [Handler] or down to [Shard].
// RFC 3261 with RFC 6026 (INVITE transactions) and RFC 3581 (rport).
package ua
