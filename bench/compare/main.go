//go:build linux

// Compare measures what a call costs different SIP elements, under the same calls on the same machine in one run.
//
// For each transport and rate it starts the elements in turn, several times over, each fresh and pinned to one core; the driver
// (callgen), pinned to another, warms the element up, places calls at a fixed rate and reads the CPU time of
// all the element's processes and threads before and after. Absolute times mean little on a shared machine; the ratio of two runs that
// follow each other means much, so ratios are formed pair by pair and the table gives their median, least and greatest.
//
// Reading starts in run.go; hold.go and profile.go are the two other things that can be measured; kamailio.go and sallyport.go say
// how each element is configured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const usage = `Measures the CPU time a call costs SIP elements, in turn, on loopback.

  compare -callgen bin/callgen -sallyport bin/sallyport
  compare -callgen bin/callgen -elements kamailio -transports tls -rates 500,2000 -pairs 1
  compare -callgen bin/callgen -gateway bin/gateway -hold 20000 -transports udp,tls
  compare -callgen bin/callgen -shaker bin/shaker -sallyport bin/sallyport -handshakes -rates 200 -time 10s
  compare -callgen bin/callgen -gateway bin/gateway -profile -transports udp,tls -rates 2000

`

func main() {
	runtime.LockOSThread() // what we start is ended by the kernel when this thread ends
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := flags(os.Args[1:], os.Stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(2)
	}
	course := run
	switch {
	case o.hold > 0:
		course = runHold
	case o.handshakes:
		course = runHandshakes
	case o.profile:
		course = runProfile
	}
	clean, err := course(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
	}
	if err != nil || !clean {
		os.Exit(1)
	}
}

// options say what is compared.
type options struct {
	elements    []string
	transports  []string
	rates       []int
	pairs       int
	measure     time.Duration
	warmUp      time.Duration
	conns       int
	elementCore int // -1: not pinned
	driverCore  int
	basePort    int

	hold       int           // calls held at once; 0: calls are ended at once and their CPU time is measured
	settle     time.Duration // quiet before the memory of held calls is measured
	handshakes bool          // TLS connections instead of calls
	profile    bool          // only the gateway, and where its CPU time goes

	callgen, shaker, sallyport, kamailio string // programs
	gateway                              string // sallyport with a door for measurements
	unrecorded                           string // sallyport that records nothing
	allocator                            string // Kamailio's, its -x
	memory                               int    // Kamailio's shared memory in MiB, its -m
	dir                                  string // where files go; empty: a temporary directory, removed at the end
	asJSON                               bool
}

func flags(args []string, out io.Writer) (o options, err error) {
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprint(out, usage)
		f.PrintDefaults()
	}
	var elements, transports, rates string
	f.StringVar(&elements, "elements", "kamailio,sallyport", "elements in turn; ratios are to the first")
	f.StringVar(&transports, "transports", "udp,tcp,tls", "of udp, tcp, tls")
	f.StringVar(&rates, "rates", "500,2000", "calls a second; -hold takes the first")
	f.IntVar(&o.pairs, "pairs", 5, "runs of each element at each rate")
	f.DurationVar(&o.measure, "time", 20*time.Second, "measured time of a run")
	f.DurationVar(&o.warmUp, "warm-up", 5*time.Second, "time before it")
	f.IntVar(&o.hold, "hold", 0, "instead: hold so many `calls`, and measure the memory that they take")
	f.DurationVar(&o.settle, "settle", 40*time.Second, "with -hold: quiet before each measurement; the default outlasts the timers of SIP")
	f.BoolVar(&o.profile, "profile", false, "instead: profile the gateway under calls, and say where its CPU time goes")
	f.BoolVar(&o.handshakes, "handshakes", false, "instead: measure mutual TLS handshakes, full and resumed; -rates are connections a second, of which the first counts")
	f.IntVar(&o.conns, "conns", 1, "connections of the caller")
	f.IntVar(&o.elementCore, "element-core", 1, "core of the element; -1: any")
	f.IntVar(&o.driverCore, "driver-core", 0, "core of the driver; -1: any")
	f.IntVar(&o.basePort, "port", 15060, "first of the ports used: this to 100 above, on 127.0.0.1 to 127.0.0.3")
	f.StringVar(&o.callgen, "callgen", "callgen", "driver `program`")
	f.StringVar(&o.shaker, "shaker", "shaker", "driver `program` of -handshakes")
	f.StringVar(&o.sallyport, "sallyport", "sallyport", "gateway `program`")
	f.StringVar(&o.gateway, "gateway", "gateway", "`program` of bench/gateway, for -hold and -profile")
	f.StringVar(&o.unrecorded, "unrecorded", "unrecorded", "gateway `program` built with the tag unrecorded, for the element of that name")
	f.StringVar(&o.kamailio, "kamailio", "kamailio", "proxy `program`")
	f.StringVar(&o.allocator, "allocator", "tlsf", "Kamailio's memory manager (-x): tlsf, fm or qm")
	f.IntVar(&o.memory, "memory", 8192, "Kamailio's shared memory in MiB (-m)")
	f.StringVar(&o.dir, "dir", "", "`directory` for configurations, certificates and logs, kept afterwards (default a temporary one)")
	f.BoolVar(&o.asJSON, "json", false, "print every run as one line of JSON instead of the table")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	o.elements, o.transports = strings.Split(elements, ","), strings.Split(transports, ",")
	for _, name := range o.elements {
		if !slices.ContainsFunc(kinds, func(k kind) bool { return k.name == name }) {
			return o, fmt.Errorf("-elements: %q is not one of %s", name, kindNames())
		}
	}
	for _, t := range o.transports {
		if !slices.Contains([]string{"udp", "tcp", "tls"}, t) {
			return o, fmt.Errorf("-transports: %q is not udp, tcp or tls", t)
		}
	}
	for text := range strings.SplitSeq(rates, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			return o, fmt.Errorf("-rates: %q is not a number of calls a second", text)
		}
		o.rates = append(o.rates, n)
	}
	if o.hold < 0 || o.settle < 0 || o.hold > 0 && o.profile {
		return o, errors.New("-hold and -settle cannot be below zero, and -hold and -profile are two things")
	}
	if o.handshakes && (o.profile || o.hold > 0) {
		return o, errors.New("-handshakes, -hold and -profile are different things")
	}
	if o.profile {
		o.elements = []string{"sallyport"}
	}
	if o.hold > 0 || o.profile {
		o.sallyport, o.pairs = o.gateway, 1
	}
	if o.pairs <= 0 || o.measure <= 0 || o.conns <= 0 || o.warmUp < 0 {
		return o, errors.New("-pairs, -time and -conns must be above zero")
	}
	for _, core := range []int{o.elementCore, o.driverCore} {
		if core >= runtime.NumCPU() {
			return o, fmt.Errorf("core %d is not there: this process has %d; give -element-core and -driver-core", core, runtime.NumCPU())
		}
	}
	needs := func(elements ...string) bool {
		return slices.ContainsFunc(elements, func(name string) bool { return slices.Contains(o.elements, name) })
	}
	for program, needed := range map[*string]bool{
		&o.callgen: true, &o.shaker: o.handshakes, &o.sallyport: needs("sallyport", "watched"),
		&o.unrecorded: needs("unrecorded"), &o.kamailio: needs("kamailio"),
	} {
		if !needed {
			continue
		}
		path, err := exec.LookPath(*program)
		if err != nil {
			return o, fmt.Errorf("%w (the script bench/run builds ours; Kamailio comes with the packages kamailio and kamailio-tls-modules)", err)
		}
		*program = path
	}
	return o, nil
}

// The addresses of a comparison. Each party has its own, so that elements that know peers by address can.
func (o options) element(transport string) netip.AddrPort {
	port := o.basePort
	if transport == "tls" {
		port++
	}
	return loopback(1, port)
}

func (o options) caller() netip.AddrPort   { return loopback(2, o.basePort+20) }
func (o options) answerer() netip.AddrPort { return loopback(3, o.basePort+10) }

func loopback(host byte, port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, host}), uint16(port))
}
