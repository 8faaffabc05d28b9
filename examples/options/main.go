// Command options answers OPTIONS over UDP at the address it is given.
package main

import (
	"context"
	"log"
	"os"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

func main() {
	srv := &ua.Server{Handler: ua.Methods{sip.OPTIONS: func(r *ua.Request) {
		r.Reply(200, ua.Header("Allow", "OPTIONS"), ua.Header("Accept", "application/sdp"))
	}}}
	log.Fatal(srv.ListenAndServe(context.Background(), "udp", os.Args[1]))
}
