//go:build linux

// Callgen is the fixed-call driver: it places one kind of call at a fixed rate through a SIP element and counts what
// came of them. It is caller and answerer in one process, so one run sees both ends of every call.
//
// One call is INVITE with a session description, 100, 180, 200 with one, ACK, BYE and 200: seven messages on each side of
// the element, fourteen in all, without a pause and without media. Calls begin at intended times that do not depend on earlier
// ones, and set-up times count from there; a start that comes late is counted. In a dialog requests go to the remote
// target through the route set, so the element may be a proxy or a back-to-back user agent. The driver never retransmits: a message lost is a call failed.
//
// Reading starts in run.go (the course of a run) and loop.go (the one thread of control); caller.go and answerer.go are
// the two ends; hold.go is the run in which calls are held. Without -element the caller calls the answerer directly, which shows the driver's own ceiling.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"time"
)

const usage = `Places calls at a fixed rate through a SIP element and counts what came of them.

  callgen -transport tls -element 127.0.0.1:5061 -certs DIR -rate 500 -pid PID
  callgen -transport udp -rate 5000        (no element: the driver's own ceiling)

`

func main() {
	o, asJSON, err := flags(os.Args[1:], os.Stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "callgen:", err)
		os.Exit(2)
	}
	r, err := runEither(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "callgen:", err)
		os.Exit(1)
	}
	if asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		r.print(os.Stdout)
	}
	if !r.clean() {
		os.Exit(1)
	}
}

func runEither(o options) (outcome, error) {
	if o.hold > 0 {
		return runHold(o)
	}
	return run(o)
}

func flags(args []string, out io.Writer) (o options, asJSON bool, err error) {
	f := flag.NewFlagSet("callgen", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprint(out, usage)
		f.PrintDefaults()
	}
	var element, caller, answerer string
	f.StringVar(&o.transport, "transport", "udp", "udp, tcp or tls (mutual TLS 1.3)")
	f.StringVar(&element, "element", "", "`address` of the element; without one the caller calls the answerer")
	f.StringVar(&caller, "caller", "127.0.0.2:15080", "`address` of the caller; on tcp and tls its port is not used")
	f.StringVar(&answerer, "answerer", "127.0.0.3:15090", "`address` of the answerer")
	f.IntVar(&o.conns, "conns", 1, "connections (UDP: sockets) of the caller; the answerer takes as many as the element makes")
	f.IntVar(&o.rate, "rate", 500, "calls a second")
	f.DurationVar(&o.measure, "time", 10*time.Second, "measured time")
	f.DurationVar(&o.warmUp, "warm-up", 4*time.Second, "time before, in which the rate climbs")
	f.DurationVar(&o.timeout, "timeout", 5*time.Second, "a call that takes longer has failed")
	f.StringVar(&o.number, "number", "+4930123456", "user of the Request-URI")
	f.StringVar(&o.certs, "certs", "", "`directory` with ca.pem, caller.pem, caller-key.pem, answerer.pem, answerer-key.pem")
	f.StringVar(&o.name, "name", "gateway.example", "name that the element's certificate must hold")
	f.IntVar(&o.pid, "pid", 0, "first `process` of the element: its CPU time and memory are measured, descendants included")
	f.IntVar(&o.hold, "hold", 0, "hold so many `calls` at once and measure the element's memory without them, with them and after them")
	f.DurationVar(&o.settle, "settle", 40*time.Second, "with -hold: quiet before each measurement; the default outlasts the timers of SIP")
	f.StringVar(&o.probe, "probe", "", "with -hold: `URL` at which an element in Go tells its heap and its goroutines")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	if err := f.Parse(args); err != nil {
		return o, asJSON, err
	}
	if f.NArg() > 0 {
		return o, asJSON, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	if !slices.Contains([]string{"udp", "tcp", "tls"}, o.transport) {
		return o, asJSON, fmt.Errorf("-transport %q is not udp, tcp or tls", o.transport)
	}
	for _, a := range []struct {
		flag, text string
		to         *netip.AddrPort
	}{{"-element", element, &o.element}, {"-caller", caller, &o.caller}, {"-answerer", answerer, &o.answerer}} {
		if a.text == "" && a.flag == "-element" {
			continue
		}
		if *a.to, err = netip.ParseAddrPort(a.text); err != nil {
			return o, asJSON, fmt.Errorf("%s: %w", a.flag, err)
		}
		if !a.to.Addr().Is4() {
			return o, asJSON, fmt.Errorf("%s: %v is not an IPv4 address", a.flag, a.to.Addr())
		}
	}
	if o.rate <= 0 || o.conns <= 0 || o.measure <= 0 || o.timeout < time.Second || o.warmUp < 0 {
		return o, asJSON, errors.New("-rate, -conns and -time must be above zero, -timeout at least a second")
	}
	if o.hold < 0 || o.settle < 0 || (o.hold > 0 && o.pid == 0) {
		return o, asJSON, errors.New("-hold needs -pid, and neither it nor -settle can be below zero")
	}
	if o.transport == "tls" && o.element.IsValid() && o.certs == "" {
		return o, asJSON, errors.New("-certs is needed to meet an element over TLS")
	}
	return o, asJSON, nil
}
