package e2e

import (
	"bytes"
	"encoding/json"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// demoDocument is what "demo --json" prints: every field of docs/reference/flow-json.md, with omitempty for those that
// may be absent.
type demoDocument struct {
	Version int        `json:"version"`
	Gateway string     `json:"gateway"`
	Calls   []demoCall `json:"calls"`
}

type demoCall struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Sentence string `json:"sentence"`
	Done     bool   `json:"done"`
	Start    string `json:"start"`
	Duration micros `json:"duration_us"`
	Setup    micros `json:"setup_us"`
	From     string `json:"from"`
	To       string `json:"to"`
	Session  string `json:"session"`
	Security *struct {
		Word string `json:"word"`
		Why  string `json:"why"`
		Hops []struct {
			Direction string   `json:"direction"`
			Peer      string   `json:"peer"`
			SIPS      bool     `json:"sips"`
			Transport string   `json:"transport"`
			TLS       *demoTLS `json:"tls"`
			KnownBy   string   `json:"known_by"`
			Plain     bool     `json:"plain"`
			Seen      []string `json:"seen"`
		} `json:"hops"`
		Claims []string `json:"claims"`
	} `json:"security,omitempty"`
	Findings []struct {
		Code      string `json:"code"`
		Severity  string `json:"severity"`
		Sentence  string `json:"sentence"`
		Rows      []int  `json:"rows"`
		Remedy    string `json:"remedy"`
		Reference string `json:"reference,omitempty"`
	} `json:"findings"`
	Joins []struct {
		A        string `json:"a"`
		B        string `json:"b"`
		Evidence string `json:"evidence"`
		Score    int    `json:"score"`
		Words    string `json:"words,omitempty"`
	} `json:"joins"`
	Related []struct {
		Kind string `json:"kind"`
		Flow string `json:"flow"`
		Row  int    `json:"row"`
	} `json:"related"`
	Lifelines []struct {
		Name    string `json:"name"`
		Address string `json:"address"`
		Gateway bool   `json:"gateway"`
	} `json:"lifelines"`
	Legs   []demoLeg   `json:"legs"`
	Events []demoEvent `json:"events"`
}

// micros is a number that may have decimals.
type micros = json.Number

type demoTLS struct {
	Version   string   `json:"version"`
	Suite     string   `json:"suite"`
	Group     string   `json:"group"`
	Mutual    bool     `json:"mutual"`
	PeerNames []string `json:"peer_names"`
	Resumed   bool     `json:"resumed"`
}

type demoLeg struct {
	Name      string  `json:"name"`
	Direction string  `json:"direction"`
	Peer      string  `json:"peer"`
	CallID    string  `json:"call_id"`
	Lifeline  int     `json:"lifeline"`
	Hop       demoHop `json:"hop"`
}

type demoHop struct {
	Connection uint64 `json:"connection"`
	Inbound    bool   `json:"inbound"`
	Transport  string `json:"transport"`
	Local      string `json:"local"`
	Remote     string `json:"remote"`
	Listener   string `json:"listener"`
	Peer       string `json:"peer"`
	Opened     string `json:"opened,omitempty"`
	Refused    bool   `json:"refused"`
	Reused     *struct {
		AgeMicros int64 `json:"age_us"`
		Call      int   `json:"call,omitempty"`
	} `json:"reused,omitempty"`
	TLS       *demoTLS   `json:"tls"`
	Handshake []demoStep `json:"handshake"`
	Verdicts  []struct {
		By        string `json:"by"`
		Accepted  bool   `json:"accepted"`
		Undecided bool   `json:"undecided,omitempty"`
		KnownBy   string `json:"known_by"`
		Code      string `json:"code"`
		Reason    string `json:"reason"`
		Remedy    string `json:"remedy"`
	} `json:"verdicts"`
}

type demoStep struct {
	AtMicros    int64    `json:"at_us"`
	At          string   `json:"at"`
	From        string   `json:"from"`
	Step        string   `json:"step"`
	Number      int      `json:"number,omitempty"`
	Encrypted   bool     `json:"encrypted,omitempty"`
	Version     string   `json:"version,omitempty"`
	Offered     []string `json:"offered,omitempty"`
	Suite       string   `json:"suite,omitempty"`
	Group       string   `json:"group,omitempty"`
	ServerName  string   `json:"server_name,omitempty"`
	Certificate *struct {
		Subject    string   `json:"subject"`
		Issuer     string   `json:"issuer"`
		Names      []string `json:"names"`
		NotBefore  string   `json:"not_before"`
		NotAfter   string   `json:"not_after"`
		SelfSigned bool     `json:"self_signed"`
		Chain      int      `json:"chain"`
	} `json:"certificate,omitempty"`
	Alert      string `json:"alert,omitempty"`
	AlertCode  int    `json:"alert_code,omitempty"`
	AlertFatal bool   `json:"alert_fatal,omitempty"`
	Length     int    `json:"length,omitempty"`
	Note       string `json:"note,omitempty"`
}

type demoEvent struct {
	Row      int    `json:"row"`
	Seq      uint64 `json:"seq"`
	At       string `json:"at"`
	AtMicros int64  `json:"at_us"`
	Kind     string `json:"kind"`
	From     string `json:"from"`
	To       string `json:"to"`
	FromLine int    `json:"from_line"`
	ToLine   int    `json:"to_line"`
	Label    string `json:"label"`
	Note     string `json:"note,omitempty"`
	Leg      string `json:"leg,omitempty"`
	Number   int    `json:"number,omitempty"`
	Bad      bool   `json:"bad,omitempty"`
	Open     bool   `json:"open,omitempty"`
	Took     micros `json:"took_us,omitempty"`
	Repeat   int    `json:"repeat,omitempty"`
	Step     any    `json:"step,omitempty"` // a number, or a step
	Raw      string `json:"raw,omitempty"`
	RawBytes []byte `json:"raw_base64,omitempty"`
}

// readDemo takes one document and nothing behind it. Written again from the structs it must have the same fields, so
// none is missing, none is of another name and none is of another type.
func readDemo(t *testing.T, text string) demoDocument {
	t.Helper()
	var doc demoDocument
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if d.More() {
		t.Fatal("more than one document")
	}
	again, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := untyped(t, []byte(text)), untyped(t, again); !reflect.DeepEqual(got, want) {
		t.Fatalf("got fields\n%v\nwant\n%v", got, want)
	}
	return doc
}

func untyped(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The messages of a full handshake with certificates on both sides, without those that need not come: the names are
// those of RFC 5246 §7.3 and RFC 8446 §2, with ChangeCipherSpec and the data numbered along in TLS 1.2.
var handshakes = map[string][]string{
	"1.2": {
		"ClientHello", "ServerHello", "Certificate", "ServerKeyExchange", "CertificateRequest", "ServerHelloDone",
		"Certificate", "ClientKeyExchange", "CertificateVerify", "ChangeCipherSpec", "Finished", "ChangeCipherSpec",
		"Finished", "ApplicationData",
	},
	"1.3": {
		"ClientHello", "ServerHello", "EncryptedExtensions", "CertificateRequest", "Certificate", "CertificateVerify",
		"Finished", "Certificate", "CertificateVerify", "Finished",
	},
}

func TestDemoDocument(t *testing.T) {
	t.Parallel()
	for version, steps := range handshakes {
		t.Run("TLS "+version, func(t *testing.T) {
			t.Parallel()
			doc := readDemo(t, sallyport(t, t.TempDir(), "demo", "--once", "--json", "--tls", version))
			var states []string
			for _, c := range doc.Calls {
				states = append(states, c.State)
			}
			if want := []string{"ended", "busy", "cancelled", "refused"}; !slices.Equal(states, want) {
				t.Fatalf("states %v, want %v", states, want)
			}
			for _, c := range doc.Calls {
				checkCall(t, version, c)
			}
			for _, c := range doc.Calls[:3] {
				if len(c.Legs) != 2 || c.Legs[0].Direction != "in" || c.Legs[0].Peer != "pbx" ||
					c.Legs[1].Direction != "out" || c.Legs[1].Peer != "carrier" {
					t.Fatalf("call %s has the legs %+v, want one in from pbx and one out to carrier", c.ID, c.Legs)
				}
				if a, b := c.Legs[0].CallID, c.Legs[1].CallID; a == "" || b == "" || a == b {
					t.Errorf("call %s: Call-IDs %q and %q, want two", c.ID, a, b)
				}
				if c.Legs[0].Hop.TLS.Resumed || !hasSteps(version, c.Legs[0].Hop, steps) {
					t.Errorf("call %s: steps of leg A %v, want %v", c.ID, c.Legs[0].Hop.Handshake, steps)
				}
			}
			if out := doc.Calls[0].Legs[1].Hop; !hasSteps(version, out, steps) {
				t.Errorf("steps of leg B %v, want %v", out.Handshake, steps)
			}
			checkRefused(t, doc.Calls[3])
			if version == "1.2" {
				checkNumbers(t, doc.Calls[0])
			}
		})
	}
}

// hasSteps says whether the steps come in this order; others may stand between them.
func hasSteps(version string, h demoHop, want []string) bool {
	for _, s := range h.Handshake {
		if len(want) > 0 && s.Step == want[0] {
			want = want[1:]
		}
		if wrong := version == "1.3" && s.Number != 0; wrong {
			return false
		}
	}
	return len(want) == 0
}

// checkCall checks what is so in every call.
func checkCall(t *testing.T, version string, c demoCall) {
	t.Helper()
	for _, e := range c.Events {
		if e.AtMicros < 0 {
			t.Errorf("call %s: %q is before its first event", c.ID, e.Label)
		}
	}
	if len(c.Events) == 0 || c.Events[0].AtMicros != 0 {
		t.Errorf("call %s does not count from its first event", c.ID)
	}
	for _, l := range c.Legs {
		h := l.Hop
		if h.Transport != "tls" || h.Connection == 0 || h.TLS == nil || h.TLS.Version != version || h.TLS.Suite == "" || h.TLS.Group == "" {
			t.Errorf("call %s leg %s: %+v with TLS %+v, want TLS %s", c.ID, l.Name, h, h.TLS, version)
			continue
		}
		if c.State != "refused" && (!h.TLS.Mutual || len(h.TLS.PeerNames) == 0) {
			t.Errorf("call %s leg %s: %+v, want certificates on both sides and the peer's names", c.ID, l.Name, *h.TLS)
		}
		for _, s := range h.Handshake {
			if s.From != "peer" && s.From != "gateway" {
				t.Errorf("call %s: a step from %q", c.ID, s.From)
			}
		}
		if len(h.Verdicts) == 0 {
			t.Errorf("call %s leg %s has no verdict", c.ID, l.Name)
		}
	}
}

// checkRefused wants a handshake that failed, with the alert, the reason and a remedy, and no SIP.
func checkRefused(t *testing.T, c demoCall) {
	t.Helper()
	if len(c.Legs) != 1 || c.Legs[0].Direction != "in" || c.Legs[0].CallID != "" {
		t.Fatalf("the refused call has the legs %+v, want one in, without a Call-ID", c.Legs)
	}
	alert := false
	for _, s := range c.Legs[0].Hop.Handshake {
		alert = alert || s.Step == "Alert" && s.From == "gateway" && s.Alert == "bad_certificate"
	}
	if !alert {
		t.Errorf("steps %v, want our alert", c.Legs[0].Hop.Handshake)
	}
	if v := c.Legs[0].Hop.Verdicts[0]; v.By != "gateway" || v.Accepted || v.Code != "unknown_ca" || !strings.Contains(v.Reason, "Somebody Else's CA") || v.Remedy == "" {
		t.Errorf("verdict %+v, want ours with the CA's name and a remedy", v)
	}
	for _, e := range c.Events {
		if e.Kind == "sip" {
			t.Errorf("SIP in the refused call: %+v", e)
		}
	}
}

// checkNumbers wants the rows of the first leg to carry 1 to 15, each once but the close_notify of each side.
func checkNumbers(t *testing.T, c demoCall) {
	t.Helper()
	rows := map[int][]string{}
	for _, e := range c.Events {
		if e.Leg == "A" && e.Number > 0 {
			rows[e.Number] = append(rows[e.Number], e.Label)
		}
	}
	for n := 1; n <= 15; n++ {
		if got := len(rows[n]); got == 0 || got > 1 && n < 15 || got > 2 {
			t.Errorf("rows of number %d: %q", n, rows[n])
		}
	}
	if len(rows) != 15 {
		t.Errorf("%d numbers, want 15: %v", len(rows), rows)
	}
	for n, word := range map[int]string{1: "ClientHello", 11: "encrypted", 13: "encrypted", 14: "data", 15: "close_notify"} {
		if !strings.Contains(strings.Join(rows[n], ""), word) {
			t.Errorf("row %d is %q, want %q in it", n, rows[n], word)
		}
	}
}

func TestInterruptedDemo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an interrupt cannot be sent there")
	}
	t.Parallel()
	// Once without all of its calls has failed.
	once := start(t, t.TempDir(), "demo", "--once")
	soon(t, "the demo begins", func() bool { return strings.Contains(once.stdout.String(), "A gateway on") })
	once.cmd.Process.Signal(syscall.SIGINT)
	once.wantStatus(t, 1)

	// Otherwise Ctrl-C is how a demo ends.
	on := start(t, t.TempDir(), "demo")
	soon(t, "the demo goes on", func() bool { return strings.Contains(on.stdout.String(), "Ctrl-C ends it") })
	on.cmd.Process.Signal(syscall.SIGINT)
	on.wantStatus(t, 0)
}
