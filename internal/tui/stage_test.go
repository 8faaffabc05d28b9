package tui

import (
	"bytes"
	"flag"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// noon is the time of the tests' pictures.
var noon = time.Date(2026, 3, 1, 20, 5, 24, 0, time.UTC)

// fixtures are the flows of the export package's goldens, by the name of the file.
func fixtures(t testing.TB) []*callflow.Flow {
	t.Helper()
	files, err := filepath.Glob("../callflow/export/testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	var all []*callflow.Flow
	for _, name := range files {
		all = append(all, fixture(t, strings.TrimSuffix(filepath.Base(name), ".txtar"))...)
	}
	return all
}

func fixture(t testing.TB, name string) []*callflow.Flow {
	t.Helper()
	archive, err := txtar.ParseFile("../callflow/export/testdata/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		if f.Name != "flow.json" {
			continue
		}
		flows, err := export.Decode(bytes.NewReader(f.Data))
		if err != nil {
			t.Fatal(name, err)
		}
		return flows
	}
	return nil
}

// A stage is a model with a source that only notes what it is asked. Tests press keys and tell it things; nothing takes time.
type stage struct {
	testing.TB
	*model
	wanted []watched
	asked  []any
	left   bool
}

func (s *stage) watch(w watched) { s.wanted = append(s.wanted, w) }
func (s *stage) ask(q any)       { s.asked = append(s.asked, q) }

func newStage(t testing.TB, width, height int, o Options) *stage {
	s := &stage{TB: t}
	s.model = newModel(s, o)
	s.Init()
	s.tell(tea.WindowSizeMsg{Width: width, Height: height})
	return s
}

// live is a stage whose gateway has answered.
func live(t testing.TB, width, height int, flows []*callflow.Flow) *stage {
	s := newStage(t, width, height, Options{Live: true, Name: "gateway"})
	s.tell(linkMsg{})
	s.tell(statusMsg{noon, api.StreamStatus{Calls: 1, Connections: 4, Failed: 3, Refused: 2, Ring: 14.4}})
	s.tell(flowsMsg{reset: true, changed: summaries(flows)})
	return s
}

func summaries(flows []*callflow.Flow) (all []callflow.Summary) {
	for _, f := range flows {
		all = append(all, callflow.Summarize(f))
	}
	return all
}

func (s *stage) tell(msg tea.Msg) {
	_, cmd := s.Update(msg)
	if cmd != nil {
		if _, quit := cmd().(tea.QuitMsg); quit {
			s.left = true
		}
	}
	s.View()
}

// special are keys by the names that the goldens have for them.
var special = map[string]tea.KeyPressMsg{
	"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight},
	"pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown}, "home": {Code: tea.KeyHome}, "end": {Code: tea.KeyEnd},
	"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "space": {Code: tea.KeySpace, Text: " "},
	"backspace": {Code: tea.KeyBackspace}, "delete": {Code: tea.KeyDelete}, "tab": {Code: tea.KeyTab},
	"ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "ctrl+u": {Code: 'u', Mod: tea.ModCtrl}, "ctrl+w": {Code: 'w', Mod: tea.ModCtrl},
	"ctrl+a": {Code: 'a', Mod: tea.ModCtrl}, "ctrl+e": {Code: 'e', Mod: tea.ModCtrl}, "ctrl+k": {Code: 'k', Mod: tea.ModCtrl},
	"f1": {Code: tea.KeyF1}, "f2": {Code: tea.KeyF2}, "f3": {Code: tea.KeyF3}, "f4": {Code: tea.KeyF4}, "f7": {Code: tea.KeyF7},
}

// press presses keys: names of special ones, single characters, and texts in quotes that are typed.
func (s *stage) press(keys ...string) {
	s.Helper()
	for _, k := range keys {
		if msg, ok := special[k]; ok {
			s.tell(msg)
			continue
		}
		if text, err := strconv.Unquote(k); err == nil {
			for _, r := range text {
				s.typed(r)
			}
			continue
		}
		if r := []rune(k); len(r) == 1 {
			s.typed(r[0])
			continue
		}
		s.Fatalf("no key %q", k)
	}
}

func (s *stage) typed(r rune) {
	if r == ' ' {
		s.tell(special["space"])
		return
	}
	s.tell(tea.KeyPressMsg{Code: r, Text: string(r)})
}

// serve answers what was asked and wanted so far from some flows, as a gateway would.
func (s *stage) serve(flows []*callflow.Flow) {
	byID := func(id string) *callflow.Flow {
		i := slices.IndexFunc(flows, func(f *callflow.Flow) bool { return f.ID == id })
		if i < 0 {
			return nil
		}
		return flows[i]
	}
	wanted, asked := s.wanted, s.asked
	s.wanted, s.asked = nil, nil
	for _, w := range wanted {
		if f := byID(w.flow); f != nil {
			s.tell(flowMsg{id: w.flow, flow: f})
		} else if w.flow != "" {
			s.tell(flowMsg{id: w.flow, err: errNoFlow})
		}
	}
	for _, q := range asked {
		switch q := q.(type) {
		case askFindings:
			var msg findingsMsg
			for _, id := range q.flows {
				msg.flows = append(msg.flows, byID(id))
			}
			s.tell(msg)
		case askConnections:
			s.tell(someConnections())
		case askExport:
			s.tell(exportedMsg{path: q.path, size: 4711})
		}
	}
}

// text is the picture.
func (s *stage) text() string { return s.screen().text() }

// wants wants parts in the picture.
func (s *stage) wants(parts ...string) {
	s.Helper()
	text := s.text()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			s.Errorf("no %q in\n%s", part, text)
		}
	}
}

// lacks wants parts not to be in the picture.
func (s *stage) lacks(parts ...string) {
	s.Helper()
	text := s.text()
	for _, part := range parts {
		if strings.Contains(text, part) {
			s.Errorf("%q is in\n%s", part, text)
		}
	}
}

// someConnections is what a gateway might say about connections, handshakes and certificates.
func someConnections() connectionsMsg {
	at := func(s string) time.Time {
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			panic(err)
		}
		return when
	}
	tls := &api.TLS{Version: "1.3", Suite: "TLS_AES_256_GCM_SHA384", Group: "X25519", Mutual: true, HandshakeMicros: 3100}
	return connectionsMsg{at: noon,
		connections: []api.Connection{
			{ID: 17, Transport: "tls", Inbound: true, Listener: "phones", Local: "10.0.0.1:5061", Remote: "192.0.2.10:40112", Peer: "phone",
				Names: []string{"phone.a.test"}, Opened: at("2026-03-01T19:01:02Z"), TLS: tls, Calls: []uint64{41, 59}},
			{ID: 18, Transport: "tcp", Local: "10.0.0.1:40988", Remote: "[2001:db8::1:2:3:4]:5060", Peer: "pbx", Opened: at("2026-03-01T20:05:20Z")},
			{ID: 19, Transport: "tls", Inbound: true, Listener: "outside", Local: "10.0.0.1:5061", Remote: "203.0.113.9:5061", Peer: "trunk-1",
				Names: []string{"sip.trunk.example"}, Opened: at("2026-03-01T08:00:00Z"), TLS: tls, Failing: "its certificate is not signed by a trusted CA any more"},
		},
		certificates: []api.Ending{
			{Kind: "peer", Name: "trunk-1", Subject: "CN=sip.trunk.example", Issuer: "CN=Trunk CA 4", Ends: at("2026-03-13T00:00:00Z"), Days: 11, Used: []string{"peer trunk-1"}},
			{Kind: "own", Name: "gateway", Subject: "CN=gw.example.test", Issuer: "CN=Lab Root", Ends: at("2026-06-10T00:00:00Z"), Days: 100, File: "gw.pem", Used: []string{"listener phones"}, SHA256: "5f19c0"},
		},
		handshakes: []*callflow.Handshake{
			{ID: "01kb4y1m5r6zc", Connection: 20, At: noon, Took: 6600 * time.Microsecond, Role: callflow.RoleServer, Transport: "tls", Outcome: callflow.OutcomeRefused,
				By: "gateway", Code: "unknown_ca", Address: "phone",
				Local: netip.MustParseAddrPort("10.0.0.1:5061"), Remote: netip.MustParseAddrPort("192.0.2.77:4711"), Sentence: "the gateway refused 192.0.2.77:4711 on listener \"phones\": its certificate is not signed by a trusted CA",
				Remedy: "add its issuer to trust \"phones\", or give it a certificate from Lab Root", Chosen: callflow.Chosen{Version: "1.3"},
				Steps:    []callflow.HopStep{{Step: &callflow.Step{Name: "ClientHello"}}, {Step: &callflow.Step{ByGateway: true, Name: callflow.NameAlert, Alert: callflow.Alert{Fatal: true, Code: 42, Name: "bad_certificate"}}, Since: 6500 * time.Microsecond}},
				Verdicts: []callflow.Verdict{{ByGateway: true, KnownBy: callflow.OwnDecision, Code: "unknown_ca", Reason: "not signed by a trusted CA", Remedy: "add its issuer"}}},
			{ID: "01kb4y1m5r6zb", Connection: 19, At: noon.Add(-time.Hour), Role: callflow.RoleClient, Peer: "trunk-1", Outcome: callflow.OutcomeGood, Sentence: "both sides accepted", Chosen: callflow.Chosen{Version: "1.3"}},
		}}
}
