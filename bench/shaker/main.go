//go:build linux

// Shaker measures what a mutual TLS connection costs a SIP element: it connects, shakes hands, asks OPTIONS, reads the 200 and
// closes, at a fixed rate, and reads the CPU time of all the element's processes and threads before and after.
//
//	shaker -element 127.0.0.1:15061 -certs DIR -name gateway.example -tls 1.3 -resume -pid PID
//	shaker -serve 127.0.0.1:15061 -certs DIR
//
// With -serve it is an element itself, the smallest that there can be: crypto/tls as it comes, verifying the same certificates,
// and the same answer to every request. What an element costs more than this one is its own.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	var o options
	var serve string
	flag.StringVar(&serve, "serve", "", "be the element, at this `address`")
	flag.StringVar(&o.element, "element", "", "`address` of the element")
	flag.StringVar(&o.certs, "certs", ".", "`directory` of the certificates")
	flag.StringVar(&o.name, "name", "gateway.example", "name in the element's certificate")
	flag.StringVar(&o.version, "tls", "1.3", "version of TLS: 1.2 or 1.3")
	flag.BoolVar(&o.resume, "resume", false, "resume a session each time")
	flag.IntVar(&o.rate, "rate", 200, "connections a second")
	flag.DurationVar(&o.measure, "time", 10*time.Second, "measured time")
	flag.DurationVar(&o.warmUp, "warm-up", 2*time.Second, "time before it")
	flag.IntVar(&o.pid, "pid", 0, "the element's process")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, serve); err != nil {
		fmt.Fprintln(os.Stderr, "shaker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, serve string) error {
	if serve != "" {
		return bare(ctx, serve, o.certs)
	}
	r, err := drive(ctx, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}
