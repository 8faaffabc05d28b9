package e2e

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

var lastPort atomic.Uint32

// aPort returns a port of host that is free on UDP and TCP, and that nobody else in this process is given. It lies below
// those that the system gives to outgoing connections and to who asks for any port, so that none of them takes it before
// the program for which it is meant.
func aPort(host string) (string, error) {
	const first, count = 12000, 18000
	for range count {
		port := strconv.Itoa(int(first + (uint32(os.Getpid())*61+lastPort.Add(1))%count))
		addr := net.JoinHostPort(host, port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		p, err := net.ListenPacket("udp", addr)
		l.Close()
		if err == nil {
			p.Close()
			return port, nil
		}
	}
	return "", fmt.Errorf("no port of %s is free on UDP and TCP", host)
}

// freePort is aPort for a test that cannot do without.
func freePort(t *testing.T, host string) string {
	t.Helper()
	port, err := aPort(host)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// someAddresses returns n addresses of host with such ports.
func someAddresses(t *testing.T, host string, n int) []string {
	t.Helper()
	var found []string
	for range n {
		found = append(found, net.JoinHostPort(host, freePort(t, host)))
	}
	return found
}
