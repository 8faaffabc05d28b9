// Command call calls a SIP URI, such as sip:bob@example.com;transport=tcp, and hangs up.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/sallyport-sip/sallyport/sip/ua"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel() // a call that is not answered in time is cancelled
	var srv ua.Server
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	defer srv.Close(ctx)
	// Without an address the target is found by the URI, in the DNS (RFC 3263).
	call, err := srv.Invite(ctx, ua.Target{}, ua.InviteOptions{To: os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	log.Print("answered; hanging up: ", call.Bye(ctx))
}
