package resolve

import (
	"bytes"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// system is what the machine says about names: /etc/hosts and /etc/resolv.conf.
// Both are read again when they have changed, looked at every 5 seconds at most.
type system struct {
	hostsPath, confPath string // empty: the usual ones; tests set them

	mu    sync.Mutex // guards what follows
	hosts watchedFile
	conf  watchedFile
	named map[string][]netip.Addr
	asked settings
}

// settings are what resolv.conf says.
type settings struct {
	servers  []netip.AddrPort
	timeout  time.Duration
	attempts int
}

const (
	lookAgain   = 5 * time.Second
	maxHostFile = 4 << 20
	maxServers  = 3 // MAXNS of resolv.conf
)

// watchedFile is a file and which state of it was read.
type watchedFile struct {
	looked   time.Time
	modified time.Time
	size     int64
}

// changed says whether a file has to be read again.
func (f *watchedFile) changed(path string, now time.Time) bool {
	if !f.looked.IsZero() && now.Sub(f.looked) < lookAgain {
		return false
	}
	first := f.looked.IsZero()
	f.looked = now
	info, err := os.Stat(path)
	if err != nil {
		gone := f.size != 0 || !f.modified.IsZero()
		f.modified, f.size = time.Time{}, 0
		return gone || first
	}
	if !first && info.ModTime().Equal(f.modified) && info.Size() == f.size {
		return false
	}
	f.modified, f.size = info.ModTime(), info.Size()
	return true
}

// host returns the addresses of a name that is not for the DNS, nil when it is.
func (s *system) host(name string) []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := s.hostsPath
	if path == "" {
		path = "/etc/hosts"
	}
	if s.hosts.changed(path, time.Now()) {
		s.named = readHosts(path)
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if addrs := s.named[name]; addrs != nil {
		return addrs
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return nil
}

// readHosts reads a hosts file: an address, then its names, up to a #.
func readHosts(path string) map[string][]netip.Addr {
	named := make(map[string][]netip.Addr)
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxHostFile || !info.Mode().IsRegular() {
		return named
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return named
	}
	for line := range bytes.Lines(text) {
		line, _, _ := strings.Cut(string(line), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			named[name] = append(named[name], addr.Unmap())
		}
	}
	return named
}

// settings returns what resolv.conf says; without the file there are no servers.
func (s *system) settings() settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := s.confPath
	if path == "" {
		path = "/etc/resolv.conf"
	}
	if s.conf.changed(path, time.Now()) {
		s.asked = readConf(path)
	}
	return s.asked
}

func readConf(path string) settings {
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return settings{}
	}
	out := settings{timeout: time.Duration(conf.Timeout) * time.Second, attempts: conf.Attempts}
	for _, text := range conf.Servers {
		if addr, err := netip.ParseAddr(text); err == nil && len(out.servers) < maxServers {
			out.servers = append(out.servers, netip.AddrPortFrom(addr, 53))
		}
	}
	return out
}
