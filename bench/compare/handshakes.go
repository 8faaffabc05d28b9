//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-sip/sallyport/bench/certs"
)

// shakers are the elements whose handshakes are measured. The first is the least that there can be; ratios are to it.
var shakers = []kind{
	{name: "bare", command: bareCommand, version: func(options) string { return "crypto/tls as it comes, one answer to everything" }},
	{name: "sallyport", command: sallyportCommand, version: sallyportVersion},
	{name: "kamailio", command: kamailioHandshakes, version: kamailioVersion},
}

// shake is one way to shake hands.
type shake struct {
	keys    string
	newKey  certs.KeyMaker
	version string
	resume  bool
}

func (s shake) String() string {
	return s.keys + ", TLS " + s.version + map[bool]string{true: ", resumed", false: ", full"}[s.resume]
}

func shakes() []shake {
	var all []shake
	for _, k := range []shake{{keys: "P-256", newKey: certs.P256}, {keys: "RSA-2048", newKey: certs.RSA2048}} {
		for _, version := range []string{"1.3", "1.2"} {
			all = append(all, shake{k.keys, k.newKey, version, false}, shake{k.keys, k.newKey, version, true})
		}
	}
	return all
}

// shaken is what one run of shaker said, and of which element.
type shaken struct {
	Name        string  `json:"name"`
	Pair        int     `json:"pair"`
	Shake       string  `json:"shake"`
	Connections int     `json:"connections"`
	Resumed     int     `json:"resumed"`
	Failed      int     `json:"failed"`
	Why         string  `json:"why,omitempty"`
	PerConn     float64 `json:"us_per_connection"`
	Core        float64 `json:"core_percent"`
	MemoryMiB   float64 `json:"memory_mib"`
	Suite       string  `json:"suite"`
	Other       float64 `json:"other_percent"`
}

// runHandshakes measures what a mutual TLS connection with one OPTIONS costs each element. clean says that each one was answered,
// and resumed when it should be.
func runHandshakes(ctx context.Context, o options, out io.Writer) (clean bool, err error) {
	dir, remove, err := prepare(o)
	defer remove()
	if err != nil {
		return false, err
	}
	if !o.asJSON {
		fmt.Fprintf(out, "%s; element on core %d, driver on core %d; connect, mutual handshake, one OPTIONS answered 200, close; %d a second, %d run(s) of %v after %v, elements in turn\n",
			processor(), o.elementCore, o.driverCore, o.rates[0], o.pairs, o.measure, o.warmUp)
		for _, k := range shakers {
			fmt.Fprintf(out, "%s: %s\n", k.name, k.version(o))
		}
	}
	clean = true
	var all []shaken
	for i, s := range shakes() {
		under := filepath.Join(dir, fmt.Sprintf("shake-%d", i))
		if err := os.MkdirAll(under, 0o755); err != nil {
			return false, err
		}
		if err := certs.WriteKeys(under, s.newKey); err != nil {
			return false, err
		}
		for pair := range o.pairs {
			order := slices.Clone(shakers)
			if pair%2 == 1 {
				slices.Reverse(order)
			}
			for _, k := range order {
				r, err := shakeOnce(ctx, o, under, s, k)
				if err != nil {
					return false, fmt.Errorf("%s, %v: %w", k.name, s, err)
				}
				r.Name, r.Pair, r.Shake = k.name, pair+1, s.String()
				clean = clean && r.Failed == 0 && r.Resumed == map[bool]int{true: r.Connections}[s.resume]
				all = append(all, *r)
				fmt.Fprintf(os.Stderr, "%v run %d %-9s %6.1f µs a connection, %d of %d resumed, %d failed, other load %.0f %% %s\n",
					s, pair+1, k.name, r.PerConn, r.Resumed, r.Connections, r.Failed, r.Other, r.Why)
				if o.asJSON {
					_ = json.NewEncoder(out).Encode(r)
				}
			}
		}
	}
	if !o.asJSON {
		printShaken(out, all)
	}
	return clean, nil
}

// shakeOnce starts an element, drives it and stops it.
func shakeOnce(ctx context.Context, o options, dir string, s shake, k kind) (*shaken, error) {
	p, err := begin(ctx, o, dir, "tls", k)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	argv := pin(o.driverCore, []string{o.shaker, "-element", o.element("tls").String(), "-certs", dir, "-tls", s.version,
		"-resume=" + strconv.FormatBool(s.resume), "-rate", strconv.Itoa(o.rates[0]), "-time", o.measure.String(), "-warm-up", o.warmUp.String(),
		"-pid", strconv.Itoa(p.pid())})
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = endWithUs()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("driver: %w: %s\nelement's last words:\n%s", err, bytes.TrimSpace(stderr.Bytes()), p.lastWords())
	}
	r := new(shaken)
	if err := json.Unmarshal(stdout.Bytes(), r); err != nil {
		return nil, fmt.Errorf("driver: %w", err)
	}
	if r.Connections == 0 {
		return nil, fmt.Errorf("nothing was answered: %s\nelement's last words:\n%s", r.Why, p.lastWords())
	}
	return r, nil
}

// printShaken prints a table in Markdown: a row a way to shake hands, with each element's cost and the ratios, pair by pair.
func printShaken(out io.Writer, all []shaken) {
	fmt.Fprintf(out, "\n| mutual handshake |")
	for _, k := range shakers {
		fmt.Fprintf(out, " %s, µs |", k.name)
	}
	fmt.Fprintln(out, " sallyport / bare | sallyport / kamailio | failed | greatest other load % |")
	fmt.Fprintln(out, "|"+strings.Repeat("---|", len(shakers)+5))
	for _, s := range shakes() {
		costs := map[string][]float64{} // in the order of the pairs
		failed, other := 0, 0.0
		for _, r := range all {
			if r.Shake == s.String() {
				costs[r.Name] = append(costs[r.Name], r.PerConn)
				failed, other = failed+r.Failed, max(other, r.Other)
			}
		}
		fmt.Fprintf(out, "| %v |", s)
		for _, k := range shakers {
			fmt.Fprintf(out, " %.0f |", spreadOf(costs[k.name]).median)
		}
		for _, base := range []string{"bare", "kamailio"} {
			var of []float64
			for i, c := range costs["sallyport"] {
				of = append(of, c/costs[base][i])
			}
			r := spreadOf(of)
			fmt.Fprintf(out, " **%.2f** (%.2f–%.2f) |", r.median, r.least, r.greatest)
		}
		fmt.Fprintf(out, " %d | %.0f |\n", failed, other)
	}
}

func bareCommand(o options, dir, transport string) ([]string, error) {
	return []string{o.shaker, "-serve", o.element(transport).String(), "-certs", filepath.Dir(dir)}, nil
}

// kamailioHandshakes is the proxy with nothing but an answer to OPTIONS, without a transaction.
func kamailioHandshakes(o options, dir, transport string) ([]string, error) {
	argv, err := kamailioCommand(o, dir, transport)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "kamailio.cfg")
	config, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	head, _, found := strings.Cut(string(config), "request_route {")
	if !found {
		return nil, fmt.Errorf("%s has no request_route", file)
	}
	return argv, os.WriteFile(file, []byte(head+"request_route {\n\tsl_send_reply(\"200\", \"OK\");\n}\n"), 0o644)
}
