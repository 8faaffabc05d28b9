package cli

import (
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/probe"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// probeDoc is the document of "probe --json", described in docs/reference/probe-json.md.
type probeDoc struct {
	Target     string         `json:"target"`
	Peer       string         `json:"peer,omitempty"`
	Began      time.Time      `json:"began"`
	Well       bool           `json:"well"`
	Code       string         `json:"code,omitempty"`
	Verdict    string         `json:"verdict"`
	Remedies   []string       `json:"remedies"`
	Resolution []probeLook    `json:"resolution"`
	Hops       []probeHop     `json:"hops"`
	More       bool           `json:"more_addresses"`
	Demands    []probe.Demand `json:"demands"`
	Kept       string         `json:"kept,omitempty"` // the file of --save-trust
}

// probeLook is one question with its answer, or one choice.
type probeLook struct {
	Question string   `json:"question,omitempty"`
	Records  []string `json:"records,omitempty"`
	TookUS   int64    `json:"took_us,omitempty"`
	Error    string   `json:"error,omitempty"`
	Choice   string   `json:"choice,omitempty"`
}

// probeHop is the try of one address.
type probeHop struct {
	Transport   string               `json:"transport"`
	Address     string               `json:"address"`
	Host        string               `json:"host,omitempty"`
	Local       string               `json:"local,omitempty"`
	ConnectUS   int64                `json:"connect_us"`
	Stage       probe.Stage          `json:"stage"`
	Works       bool                 `json:"works"`
	Failed      *trust.Verdict       `json:"failed,omitempty"`
	Notes       []string             `json:"notes"`
	Handshake   *callflow.Handshake  `json:"handshake,omitempty"`
	Chain       []probeCert          `json:"chain"`
	NameMatched string               `json:"name_matched,omitempty"`
	Refusals    []probeRefusal       `json:"refusals"`
	Shown       []string             `json:"our_certificate,omitempty"`
	Staple      *staple              `json:"ocsp_staple,omitempty"`
	Answer      *probeAnswer         `json:"answer,omitempty"`
	Pong        *probePong           `json:"pong,omitempty"`
	Flow        *export.DocumentCall `json:"flow,omitempty"`
}

// probeCert is one certificate of the server's with what was found of it.
type probeCert struct {
	shownCert
	Findings []trust.Finding `json:"findings"`
}

// probeRefusal is one reason against a chain.
type probeRefusal struct {
	Code   trust.Code `json:"code"`
	Reason string     `json:"reason"`
	Remedy string     `json:"remedy"`
}

// probeAnswer is the final response to OPTIONS.
type probeAnswer struct {
	Status     int      `json:"status"`
	Reason     string   `json:"reason"`
	TookUS     int64    `json:"took_us"`
	Allow      []string `json:"allow"` // null: the header is not there
	Supported  []string `json:"supported"`
	Accept     []string `json:"accept"`
	Server     string   `json:"server,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
	RetryAfter string   `json:"retry_after,omitempty"`
	Challenges []string `json:"challenges,omitempty"`
	SeenAs     string   `json:"seen_as,omitempty"`
	Malformed  string   `json:"malformed,omitempty"`
}

// probePong is what became of a keep-alive.
type probePong struct {
	Came     bool  `json:"came"`
	TookUS   int64 `json:"took_us,omitempty"`
	Promised bool  `json:"promised"`
}

func documentOf(r *probe.Report) probeDoc {
	doc := probeDoc{
		Target: r.Target, Peer: r.Peer, Began: r.Began.UTC(), Well: r.Well, Code: string(r.Code), Verdict: r.Verdict,
		Remedies: append([]string{}, r.Remedies...), Resolution: []probeLook{}, Hops: []probeHop{}, More: r.More,
		Demands: append([]probe.Demand{}, r.Demands...),
	}
	for _, e := range r.Resolution {
		look := probeLook{Question: e.Question, Records: e.Records, TookUS: e.Took.Microseconds(), Choice: e.Choice}
		if e.Err != nil {
			look.Error = e.Err.Error()
		}
		doc.Resolution = append(doc.Resolution, look)
	}
	for _, h := range r.Hops {
		doc.Hops = append(doc.Hops, hopOf(h))
	}
	return doc
}

func hopOf(h *probe.Hop) probeHop {
	doc := probeHop{
		Transport: h.Transport.String(), Address: h.Addr.String(), Host: h.Host, ConnectUS: h.Connected.Microseconds(),
		Stage: h.Stage, Works: h.Works(), Failed: h.Failed, Notes: append([]string{}, h.Notes...), Chain: []probeCert{}, Refusals: []probeRefusal{},
	}
	if h.Local.IsValid() {
		doc.Local = h.Local.String()
	}
	if h.Flow != nil {
		call := export.Call(h.Flow)
		doc.Flow = &call
	}
	if h.Pong != nil {
		doc.Pong = &probePong{h.Pong.Came, h.Pong.Took.Microseconds(), h.Promised}
	}
	if a := h.Answer; a != nil {
		doc.Answer = &probeAnswer{a.Code, a.Reason, a.Took.Microseconds(), a.Allow, a.Supported, a.Accept, a.Server, a.Warnings,
			a.RetryAfter, a.Challenges, a.Via, a.Malformed}
	}
	if h.TLS != nil {
		doc.handshake(h.TLS)
	}
	return doc
}

func (doc *probeHop) handshake(d *probe.Handshake) {
	doc.Handshake = d.Handshake
	for i, c := range d.Chain {
		one := probeCert{shownCert: showCert(c), Findings: []trust.Finding{}}
		if i < len(d.Review.Findings) {
			one.Findings = d.Review.Findings[i]
		}
		doc.Chain = append(doc.Chain, one)
	}
	if m := d.Review.Verified.Matched; m.Want != "" {
		doc.NameMatched = m.Name.String()
	}
	for _, r := range d.Review.Refusals {
		doc.Refusals = append(doc.Refusals, probeRefusal{r.Code, r.Reason, r.Remedy})
	}
	for _, c := range d.Shown {
		doc.Shown = append(doc.Shown, trust.Subject(c))
	}
	doc.Staple = stapleOf(d)
}
