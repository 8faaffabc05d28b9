// Command call calls the server at an address over TCP and hangs up.
package main

import (
	"context"
	"log"
	"net/netip"
	"os"
	"time"

	"github.com/sallyport-sip/sallyport/sip/transport"
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
	to := ua.Target{Transport: transport.TCP, Addr: netip.MustParseAddrPort(os.Args[1])}
	call, err := srv.Invite(ctx, to, ua.InviteOptions{To: "sip:bob@example.com"})
	if err != nil {
		log.Fatal(err)
	}
	log.Print("answered; hanging up: ", call.Bye(ctx))
}
