package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// writeFile is writeDurable, or what a test puts in its place.
type writeFile func(path string, data []byte, mode fs.FileMode) error

// writeDurable writes a new file and waits until the disk has it.
func writeDurable(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// write makes everything and puts it into the directory: all of it, or nothing. The files are written under a passing
// name beside their place, judged there as check would, and moved together.
func (p *initPlan) write(put writeFile) (*initiated, error) {
	made, err := p.files()
	if err != nil {
		return nil, err
	}
	exists, err := p.vacant()
	if err != nil {
		return nil, err
	}
	parent := filepath.Dir(filepath.Clean(p.dir))
	if exists {
		parent = p.dir
	}
	stage, err := os.MkdirTemp(parent, ".sallyport-init-*") // mode 0700
	if err != nil {
		return nil, p.cannot(err)
	}
	defer os.RemoveAll(stage) // in vain once it has been moved
	for _, f := range made.Files {
		mode := fs.FileMode(0o644)
		if f.Secret {
			mode = 0o600
		}
		if err := put(filepath.Join(stage, f.Name), f.data, mode); err != nil {
			return nil, p.cannot(err)
		}
	}
	cfg, problems := config.Load(filepath.Join(stage, configName))
	if problems = append(problems, fileProblems(gateway.Options{}, cfg, problems)...); len(problems) > 0 {
		first := strings.ReplaceAll(problems[0].String(), stage+string(filepath.Separator), "")
		return nil, fmt.Errorf("what was asked for makes no good configuration, so nothing was written: %s", first)
	}
	if !exists {
		err = os.Rename(stage, p.dir)
	} else {
		err = moveAll(stage, p.dir, made.Files)
	}
	if err != nil {
		return nil, p.cannot(err)
	}
	return made, nil
}

// vacant says whether the directory is there already. There must be nothing in it.
func (p *initPlan) vacant() (exists bool, err error) {
	entries, err := os.ReadDir(p.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, syscall.ENOTDIR):
		return false, fmt.Errorf("%s: it is a file, or lies in one: name a directory that is not there yet", p.dir)
	case err != nil:
		return false, p.cannot(err)
	case len(entries) == 0:
		return true, nil
	}
	name := entries[0].Name()
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == configName }) {
		name = configName
	}
	return true, fmt.Errorf("%s is there already, and init replaces nothing: name a directory that is empty or not there yet, or change that one by hand",
		filepath.Join(p.dir, name))
}

// moveAll moves the files into a directory that was empty, the configuration last; when that fails it takes them out
// again. Nothing that is there is replaced.
func moveAll(from, to string, files []initFile) error {
	var moved []string
	for _, f := range slices.Backward(files) {
		path := filepath.Join(to, f.Name)
		err := os.Link(filepath.Join(from, f.Name), path) // fails when somebody else has put one there meanwhile
		if err == nil {
			moved = append(moved, path)
			continue
		}
		if !errors.Is(err, fs.ErrExist) { // a file system without links
			if err = os.Rename(filepath.Join(from, f.Name), path); err == nil {
				moved = append(moved, path)
				continue
			}
		}
		for _, path := range moved {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}
	return nil
}

// cannot says why nothing could be written, and what to do.
func (p *initPlan) cannot(err error) error {
	var remedy string
	parent := filepath.Dir(filepath.Clean(p.dir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no directory %s to put it into: make that one first", p.dir, parent)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s: %s is not a directory: name another place", p.dir, parent)
	case errors.Is(err, fs.ErrPermission):
		remedy = "name a directory in which you may write, or become a user who may"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "make room, or name a directory on another disk"
	case errors.Is(err, syscall.EROFS):
		remedy = "name a directory on a disk that can be written"
	case errors.Is(err, fs.ErrExist):
		remedy = "somebody else writes there too: name another directory"
	default:
		remedy = "name another directory"
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return fmt.Errorf("%s cannot be written, and nothing was: %w: %s", p.dir, err, remedy)
}

// request is what our certificate is for: the domain, and the host that others dial when that is another one. RFC 5922
// looks at the sip: URIs, peers with the rules of HTTPS at DNS names and addresses.
func (p *initPlan) request() trust.Request {
	r := trust.Request{Name: p.name, SIP: []string{p.name}, DNS: []string{p.name}, Key: p.key}
	if a, err := netip.ParseAddr(p.advertise.Host); err == nil {
		r.IP = append(r.IP, a)
	} else if p.advertise.Host != p.name {
		r.SIP, r.DNS = append(r.SIP, p.advertise.Host), append(r.DNS, p.advertise.Host)
	}
	return r
}

// files makes the keys and all texts.
func (p *initPlan) files() (*initiated, error) {
	ca, err := trust.NewCA(trust.Request{Name: p.name + " CA", Key: p.key})
	if err != nil {
		return nil, err
	}
	own, err := trust.Issue(ca, p.request())
	if err != nil {
		return nil, fmt.Errorf("our certificate: %w", err)
	}
	caKey, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	ownKey, err := own.KeyPEM()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	l := letter{plan: p, own: own.Chain[0], ca: ca.Chain[0], caPEM: ca.CertPEM(), now: now}
	made := &initiated{Directory: p.dir, Next: p.nextCommands(), Files: []initFile{
		{Name: configName, About: "the configuration, with comments", data: []byte(p.configText(now, own.Chain[0].NotAfter))},
		{Name: certName, About: "our certificate, for " + p.name + ", until " + isoDay(own.Chain[0].NotAfter), data: own.CertPEM()},
		{Name: keyFile, About: "its key: secret", Secret: true, data: ownKey},
		{Name: caName, About: "the authority that signed it, until " + isoDay(ca.Chain[0].NotAfter), data: ca.CertPEM()},
		{Name: caKeyName, About: "its key: secret; the gateway does not need it, so keep it elsewhere", Secret: true, data: caKey},
	}}
	for i := range p.peers {
		peer := &p.peers[i]
		if peer.trust.kind == trustFile {
			made.Files = append(made.Files, initFile{Name: peer.trustFileName(), About: "whose word is taken for " + peer.name, data: trustPEM(peer.trust.certs)})
		}
	}
	for i := range p.peers {
		peer := &p.peers[i]
		made.Files = append(made.Files, initFile{Name: "send-to-" + peer.name + ".txt", About: "what " + peer.name + " must know; nothing in it is secret", data: []byte(l.to(peer))})
		made.Peers = append(made.Peers, initiatedPeer{peer.name, peer.uri.Text, "over " + peer.over() + "; known " + peer.known()})
	}
	made.Notes = p.notes()
	return made, nil
}

// notes are about what was chosen, and what may surprise.
func (p *initPlan) notes() []string {
	notes := []string{}
	clear := "UDP is"
	if p.uses(config.TCP) {
		if clear = "TCP is"; p.uses(config.UDP) {
			clear = "UDP and TCP are"
		}
	}
	switch {
	case p.lanFound:
		notes = append(notes, fmt.Sprintf("%s on %s, this machine's address towards them; if that is another one, say it with --lan.", clear, p.lan))
	case p.lan.IsValid():
		notes = append(notes, fmt.Sprintf("%s on %s, in clear: let the firewall keep all others from there.", clear, p.lan))
	}
	for _, peer := range p.carriers() {
		if _, err := netip.ParseAddr(peer.uri.Host); err == nil && slices.Equal(peer.names, []string{peer.uri.Host}) {
			notes = append(notes, fmt.Sprintf("The certificate of %s must be for an address, %s, which few are: if it is for a name, say that with --certificate-name %[1]s=NAME.", peer.name, peer.uri.Host))
		}
	}
	return notes
}

// over names the transport of a peer.
func (p *initPeer) over() string {
	if p.uri.TLS() {
		return "TLS"
	}
	return strings.ToUpper(string(p.uri.Transport)) + ", in clear"
}
