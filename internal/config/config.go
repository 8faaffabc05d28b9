package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxSize bounds the file, in bytes.
const MaxSize = 4 << 20

// Config is the whole file, its elements in the order of the file. What
// [Parse] returns is complete: defaults are filled in, and paths are joined to
// the directory of the file.
type Config struct {
	// File names the file in problems.
	File string
	// Version is the SHA-256 of the file's bytes, in hexadecimal; empty when the
	// Config was put together in code.
	Version string
	Place

	// The addresses on which the gateway accepts SIP, by name.
	Listeners []Listener `yaml:"listeners" each:"listener"`

	// Who we are: our certificates with their keys, by name.
	Identities []Identity `yaml:"identities" each:"identity"`

	// Whom we believe: sets of CA certificates and self-signed certificates,
	// by name.
	Trust []Trust `yaml:"trust" each:"trust"`

	// How we speak TLS, and what we ask of certificates, by name. A listener or
	// peer that names none has a policy in which every key has its default.
	Policies []Policy `yaml:"policies" each:"policy"`

	// What listeners and peers use when they do not say it themselves.
	Defaults Defaults `yaml:"defaults"`

	// How we speak SIP with a peer, by name. A peer that names none has a
	// profile in which every key has its default.
	Profiles []Profile `yaml:"profiles" each:"profile"`

	// The gateways, PBXs, carriers and domains that we speak with, by name.
	// Who is not a peer is refused.
	Peers []Peer `yaml:"peers" each:"peer"`

	// What all who send to us together may make the gateway hold. Each listener
	// has limits of its own beside.
	Limits TotalLimits `yaml:"limits"`

	// Where a call goes. The first route that matches decides; without a match
	// the caller gets 404.
	Routes []Route `yaml:"routes" each:"route"`

	// How the names of peers are looked up: the name servers, and for how long they
	// are waited for. Without this section it is those of the system.
	Resolver Resolver `yaml:"resolver"`

	// The API over HTTP: health, metrics, calls, peers, connections, recorded
	// flows. Without this section there is none but for the commands of this
	// program, which reach the gateway by a socket in the data directory.
	Admin Admin `yaml:"admin"`

	// Where what the gateway sees of calls is sent as HEP, such as Homer: each SIP message as it is recorded, with secrets
	// masked, and what became of each TLS handshake, by name. A collector that is slow or away costs no call anything.
	HEP []Collector `yaml:"hep" each:"hep collector"`

	// Filters for calls, flows and handshakes, by name: `NAME: "state:failed peer:acme"`.
	// They are used as `@NAME` wherever a filter is written, also in other filters:
	// docs/reference/filter.md has how.
	Filters []SavedFilter `yaml:"filters" each:"filter" form:"names with filters"`

	// Applications that are called when something happens, by name: each event is
	// posted to them, signed, and again until they have taken it.
	Webhooks []Webhook `yaml:"webhooks" each:"webhook"`

	// Where the records of calls are sent, by name: when they are over as lines of JSON, to a file or over HTTP, or
	// as they are answered and end to servers for RADIUS accounting.
	CDRShip []Shipment `yaml:"cdr_ship" each:"shipment"`

	// The directory for what the gateway keeps, relative to the file. It is made
	// when the gateway starts, and must be writable. Default: `data`.
	Data string `yaml:"data" form:"directory name"`

	// How calls are recorded in the data directory. `interval`: what happened
	// longer ago than 10 ms survives a crash. `strict`: a call is answered only
	// once its record is on the disk. `off`: no records, of handshakes neither.
	// Default: `interval`.
	CDR CDRMode `yaml:"cdr" form:"one of interval, strict, off"`

	// How long the records of ended calls are kept. Default: 0, for ever.
	CDRKeep Duration `yaml:"cdr_keep" form:"duration"`

	// How long the records of TLS handshakes are kept in the data directory, by
	// which `sallyport handshakes` tells who refused whom and why. Whatever this
	// says, of peers no more than the newest 10000 that failed and 10000 that were
	// good are kept, and 2000 of strangers. 0: only their number counts. Default:
	// 30d.
	HandshakesKeep Duration `yaml:"handshakes_keep" form:"duration"`

	// What is kept on the disk of every call, request and refused connection, with
	// all messages, so that it can be looked at later.
	History History `yaml:"history"`

	// How long the gateway waits for calls to end by themselves when it is told
	// to stop, before it ends them. New calls are refused meanwhile. Default:
	// 30s.
	Drain Duration `yaml:"drain" form:"duration"`

	// Whether the files with certificates, keys, trust and the token that this
	// file names are watched: when they change they are read again and judged as
	// a whole, and taken when they are good. This file itself is read when a
	// reload asks for it, and never otherwise. Default: `true`.
	Watch bool `yaml:"watch"`
}

// CDRMode says how calls are recorded.
type CDRMode string

// The values of cdr.
const (
	CDRInterval CDRMode = "interval"
	CDRStrict   CDRMode = "strict"
	CDROff      CDRMode = "off"
)

func (m *CDRMode) set(text string) *fault { return setWord(m, text, CDRInterval, CDRStrict, CDROff) }

// Load reads and parses a file of at most [MaxSize] bytes. The Config is never
// nil; with problems it serves only for further checks.
func Load(path string) (*Config, []Problem) {
	data, err := read(path)
	if err != nil {
		p := Problem{File: path, What: "the file cannot be read", Why: err.Error()}
		var pe *fs.PathError
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.What, p.Why, p.Remedy = "there is no such file", "", "name another one, or begin one: sallyport init makes it with all that belongs to it"
		case errors.Is(err, errDirectory):
			p.Remedy = "name a file in it"
			if inside := filepath.Join(path, "sallyport.yaml"); exists(inside) {
				p.Remedy = "name the file in it: " + inside
			}
		case errors.As(err, &pe):
			p.Why = pe.Err.Error()
		}
		cfg := Default()
		cfg.File = path
		return cfg, []Problem{p}
	}
	return Parse(path, data)
}

var errDirectory = errors.New("it is a directory")

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// read takes one byte more than MaxSize, so that Parse can tell.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errDirectory
	}
	return io.ReadAll(io.LimitReader(f, MaxSize+1))
}

// Parse reads data as the file called name; relative paths in it are joined to
// the directory of name. It returns every problem of syntax, shape and
// reference, in the order of the file. The Config is never nil; with problems
// it serves only for further checks.
func Parse(name string, data []byte) (*Config, []Problem) {
	cfg := Default()
	cfg.File = name
	cfg.Version = fmt.Sprintf("%x", sha256.Sum256(data))
	root, problem := parseYAML(name, data)
	if problem != nil {
		cfg.resolvePaths(filepath.Dir(name))
		return cfg, []Problem{*problem}
	}
	d := decoder{report: report{file: name}}
	d.decode(root, cfg)
	cfg.resolvePaths(filepath.Dir(name))
	cfg.Complete()
	problems := append(d.problems, Check(cfg)...)
	SortProblems(problems)
	return cfg, problems
}
