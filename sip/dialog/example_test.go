package dialog_test

import (
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
)

// We answer an INVITE and end the call ourselves.
func Example() {
	invite, err := sip.Parse([]byte("INVITE sip:bob@biloxi.example SIP/2.0\r\n" +
		"Via: SIP/2.0/TLS pc33.atlanta.example;branch=z9hG4bKnashds8\r\n" +
		"From: <sip:alice@atlanta.example>;tag=19283\r\n" +
		"To: <sip:bob@biloxi.example>\r\n" +
		"Call-ID: a84b4c76e66710\r\n" +
		"CSeq: 1 INVITE\r\n" +
		"Record-Route: <sip:proxy.atlanta.example;lr>\r\n" +
		"Contact: <sip:alice@pc33.atlanta.example>\r\n" +
		"Content-Length: 0\r\n\r\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := dialog.NewUAS(invite, "bob1", true)
	if err != nil {
		fmt.Println(err) // a *sip.StatusError: its code refuses the INVITE
		return
	}
	invite.Release() // the dialog keeps copies
	d.Confirm()      // a 200 went out

	var b sip.Builder
	b.Reset(nil)
	d.Start(&b, sip.BYE)
	d.Headers(&b, sip.BYE, d.NextSeq())
	fmt.Println("to", d.NextHop())
	fmt.Println(strings.ReplaceAll(strings.TrimSpace(string(b.Finish(nil))), "\r\n", "\n"))
	// Output:
	// to sip:proxy.atlanta.example;lr
	// BYE sip:alice@pc33.atlanta.example SIP/2.0
	// Route: <sip:proxy.atlanta.example;lr>
	// From: <sip:bob@biloxi.example>;tag=bob1
	// To: <sip:alice@atlanta.example>;tag=19283
	// Call-ID: a84b4c76e66710
	// CSeq: 1 BYE
	// Content-Length: 0
}
