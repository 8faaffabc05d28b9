// Command answer answers the calls of one domain over mutual TLS:
//
//	answer 192.0.2.1:5061 cert.pem key.pem ca.pem pbx.example
package main

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cfg, err := ua.ServerTLS(os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	srv := &ua.Server{Handler: ua.Methods{sip.INVITE: answer}}
	log.Print("ended: ", srv.ListenAndServeTLS(ctx, os.Args[1], cfg))
}

func answer(r *ua.Request) {
	if !r.Proves(os.Args[5]) {
		r.Reply(403)
		return
	}
	r.Reply(180)
	call, err := r.Accept(ua.Body("application/sdp", []byte("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n")))
	if err != nil || r.Call() != nil {
		return // the caller has given up, or it was a re-INVITE
	}
	context.AfterFunc(call.Context(), func() { log.Print("a call is over: ", call.Err()) })
}
