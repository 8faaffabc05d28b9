package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// roles are the programs that tests start as processes of their own, to kill them: this one again, with the name of the
// role in the environment.
var roles = map[string]func(args []string) error{"target": target}

const roleVariable = "SALLYPORT_E2E_ROLE"

// target answers calls until its standard input ends: target TRANSPORT ADDRESS DIRECTORY NAME. It prints a line for each
// thing that happens to a call: "invited NUMBER", "confirmed NUMBER" when the ACK came, "held NUMBER" when it is still up a
// while later; and "serving" when it listens. The lines are written one by one, so that those of a target that is killed
// are there.
//
// The last digit of the number says what becomes of the call: 0 is refused with 486, 1 rings until it is cancelled, 2 is
// ended by the target after a while, all others by the caller.
func target(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("target %q: want transport, address, directory, name", args)
	}
	srv := &ua.Server{Handler: ua.HandlerFunc(answerByDigit), Shards: 1}
	if err := srv.Start(); err != nil {
		return err
	}
	cfg := transport.ListenConfig{Name: args[3], Transport: transport.UDP, Addr: netip.MustParseAddrPort(args[1])}
	switch args[0] {
	case "tcp":
		cfg.Transport = transport.TCP
	case "tls":
		mutual, err := mutualTLS(args[2], args[3])
		if err != nil {
			return err
		}
		cfg.Transport, cfg.TLS = transport.TLS, mutual
	}
	if _, err := srv.Listen(cfg); err != nil {
		return err
	}
	fmt.Println("serving")
	io.Copy(io.Discard, os.Stdin)
	return srv.Close(context.Background())
}

func answerByDigit(r *ua.Request) {
	if r.Msg.Method() != sip.INVITE {
		r.Reply(405)
		return
	}
	uri, err := sip.ParseURI(r.Msg.RequestURI())
	if err != nil {
		r.Reply(400)
		return
	}
	number := string(uri.User)
	fmt.Println("invited", number)
	if strings.HasSuffix(number, "0") {
		r.Reply(486)
		return
	}
	r.Reply(180)
	if strings.HasSuffix(number, "1") {
		<-r.Context().Done()
		return
	}
	call, err := r.Accept(ua.Body("application/sdp", []byte(siteSDP)))
	if err != nil {
		return
	}
	go hold(call, number)
}

// held is after how long a call counts as held. One that nobody wanted gets ACK and BYE at once; the caller of one that
// it wanted ends it later than this.
const held = 300 * time.Millisecond

func hold(call *ua.Call, number string) {
	select {
	case <-call.Confirmed():
		fmt.Println("confirmed", number)
	case <-call.Done():
		return
	}
	select {
	case <-time.After(held):
		fmt.Println("held", number)
	case <-call.Done():
		return
	}
	if strings.HasSuffix(number, "2") {
		call.Bye(context.Background())
	}
}

// mutualTLS is a peer's TLS with the gateway, with the files that "sallyport cert" made.
func mutualTLS(dir, name string) (*tls.Config, error) {
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	believed := x509.NewCertPool()
	believed.AppendCertsFromPEM(text)
	return &tls.Config{
		Certificates: []tls.Certificate{own}, RootCAs: believed, ClientCAs: believed,
		ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "gateway.example",
	}, nil
}
