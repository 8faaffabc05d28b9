// Package ua sends and receives SIP: it is to SIP what net/http is to HTTP.
//
// A [Server] is both, user agent server and client (RFC 3261 §8), over UDP, TCP
// and TLS. What it is asked goes to its [Handler], as in net/http:
//
//	srv := &ua.Server{Handler: ua.Methods{
//		sip.INVITE: func(r *ua.Request) {
//			r.Reply(180)
//			call, err := r.Accept(ua.Body("application/sdp", sdp))
//			if err != nil || r.Call() != nil {
//				return // the caller has given up, or it was a re-INVITE
//			}
//			context.AfterFunc(call.Context(), func() { log.Print("over: ", call.Err()) })
//		},
//	}}
//	err := srv.ListenAndServe(ctx, "udp", ":5060")
//
// The handler returns when it has answered, and the call lives on. One that stays
// keeps the call's next requests waiting: a re-INVITE, which holds a call or refreshes
// its session, would get no answer. SDP and media are the program's: r.Msg.Body()
// is the offer, the bytes sdp our answer. The library logs nothing; the hooks of Server
// tell what it refuses, Hooks.Refused the handshakes that failed, with their reason.
//
// Over mutual TLS both sides prove a SIP domain by their certificates (RFC 5922),
// and the handler asks which one the other side has proved. A certificate is for
// a domain by a URI such as sip:pbx.example among its subjectAltNames, or without
// any of those by a DNS name.
//
//	cfg, err := ua.ServerTLS("cert.pem", "key.pem", "ca.pem")
//	err = srv.ListenAndServeTLS(ctx, ":5061", cfg)
//
//	if !r.Proves("pbx.example") {
//		r.Reply(403)
//		return
//	}
//
// A client is a Server too: Start without Listen is enough for TCP and TLS, while UDP
// needs a socket to send from.
//
//	cfg, err := ua.ClientTLS("cert.pem", "key.pem", "ca.pem", "gw.example")
//	call, err := srv.Invite(ctx, ua.Target{TLS: cfg}, ua.InviteOptions{To: "sips:bob@gw.example"})
//	...
//	err = call.Bye(ctx)
//
// What it asks others leaves by [Server.Send] and [Server.Invite], towards a
// [Target], or without an address in that towards the servers of the URI's domain
// (RFC 3263, see [Server.Resolve]): ua.Target{TLS: whomToBelieve} is enough to call
// "sip:alice@example.com". Both sides' calls are a [Call]. The library sends what no user needs
// to see: retransmissions, 100, ACK, CANCEL, the answers to CANCEL and BYE, the
// 481 for dialogs that do not exist, the ACK and BYE to a fork that lost. A request
// for a target on UDP that is too large for that goes by TCP (RFC 3261 §18.1.1).
//
// # Two levels
//
// A Handler may block, such as on a database: each request runs in a goroutine, one
// after the other for each Call-ID, in the order in which they came. Below it stand the shards:
// each [Shard] is one goroutine that owns a part of all transactions, dialogs
// and timers, without locks; requests go to the shard of their Call-ID,
// responses to the shard whose number is in our branch. A [ShardHandler] runs
// there and must not block. Handler is written on it, in sessions.go. A program
// sets one of the two.
//
// # Where to go on
//
// Each server has its own Timers, Limits and Queues, set before it starts; nothing
// that changes behaviour is a variable of a package. Whatever may take long takes a
// context. Messages are read with package sip, a program's tests talk to it with
// package siptest, and the directory examples has whole programs.
//
// Reading starts at [Server], then goes up to [Handler] or down to [Shard].
// RFC 3261 with RFC 6026 (INVITE transactions) and RFC 3581 (rport).
package ua
