// Gateway is sallyport with a second door for measurements. Its first argument is an address on the loopback interface; the rest is
// sallyport's own command line:
//
//	gateway 127.0.0.1:6060 serve --config sallyport.yaml
//
// At that address are /debug/pprof/ (net/http/pprof) and /memory, which collects the garbage and tells what is left. Whoever reaches
// them sees into the process, so the product has no such door; this program is for bench/ and is never installed.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/sallyport-sip/sallyport/internal/cli"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: gateway LOOPBACK:PORT serve --config FILE")
		os.Exit(2)
	}
	if err := openDoor(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(2)
	}
	os.Exit(cli.Main(os.Args[2:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// openDoor listens on a loopback address, and on no other.
func openDoor(at string) error {
	addr, err := netip.ParseAddrPort(at)
	if err != nil {
		return err
	}
	if !addr.Addr().IsLoopback() {
		return fmt.Errorf("%v is not a loopback address", addr.Addr())
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	go http.Serve(l, pages())
	return nil
}

func pages() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("/memory", func(w http.ResponseWriter, _ *http.Request) { writeMemory(w) })
	m.HandleFunc("/debug/pprof/", pprof.Index) // heap, goroutine, …
	m.HandleFunc("/debug/pprof/profile", pprof.Profile)
	m.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return m
}

// memory is what the process has now: bytes of live heap after a collection, and goroutines, those of this door among them.
type memory struct {
	Heap       uint64 `json:"heap"`
	Goroutines int    `json:"goroutines"`
}

func writeMemory(w io.Writer) {
	debug.FreeOSMemory() // which collects first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_ = json.NewEncoder(w).Encode(memory{m.HeapAlloc, runtime.NumGoroutine()})
}
