package callflow

import (
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// A detail is what the checks need to know of a message beside what its row shows. It owns its strings.
type detail struct {
	uri      place // Request-URI
	contact  place // the first one
	via      hopVia
	vias     int
	recorded []place // Record-Route
	routes   []place // Route
	fromURI  string
	toURI    string

	maxForwards int // -1: none
	size        int // bytes of the message
	excess      int // bytes that came beyond Content-Length, negative: that were missing

	require, unsupported, accept string

	session    time.Duration // Session-Expires
	refresher  string
	least      time.Duration // Min-SE
	retryAfter time.Duration
	date       time.Time
	reliable   bool   // RSeq: a reliable provisional response
	realm      string // of the first challenge in WWW-Authenticate or Proxy-Authenticate
	stale      bool   // the challenge says that only the nonce was too old
	credential bool   // Authorization or Proxy-Authorization
	warning    string
	typ        string // Content-Type without parameters
	sdp        *description
}

// hopVia is the topmost Via.
type hopVia struct {
	host, branch, received string
	port                   uint16
	transport              string
	asked                  bool   // it has rport
	rport                  uint16 // its value in a response
}

// detailOf reads them. What cannot be read stays empty: a check that needs it does not apply.
func detailOf(p *sip.Message, raw []byte) *detail {
	d := &detail{maxForwards: -1, size: len(raw), excess: excess(p, raw)}
	if p.IsRequest() {
		d.uri = placeOf(p.RequestURI())
		if n, ok := p.MaxForwards(); ok {
			d.maxForwards = n
		}
	}
	if p.Has(sip.HdrContact) {
		if c, err := p.Contact(); err == nil {
			d.contact = placeOf(c.RawURI)
		}
	}
	d.readVias(p)
	d.recorded, d.routes = places(p, sip.HdrRecordRoute), places(p, sip.HdrRoute)
	if a, err := p.From(); err == nil {
		d.fromURI = string(a.RawURI)
	}
	if a, err := p.To(); err == nil {
		d.toURI = string(a.RawURI)
	}
	d.require = joined(p, sip.HdrRequire)
	d.readRare(p)
	if len(p.Body()) > 0 {
		d.readBody(p)
	}
	return d
}

func (d *detail) readVias(p *sip.Message) {
	for v, err := range p.Vias() {
		if d.vias++; d.vias > 1 || err != nil {
			continue
		}
		d.via = hopVia{
			host: strings.ToLower(strings.Trim(string(v.Host), "[]")), port: v.Port, branch: string(v.Branch()),
			received: string(v.Received()), rport: v.SourcePort(), transport: strings.ToLower(string(v.Transport)),
		}
		_, d.via.asked = v.Params.Get("rport")
	}
}

// readRare reads what most messages do not have.
func (d *detail) readRare(p *sip.Message) {
	if p.Has(sip.HdrSessionExpires) {
		if x, err := p.SessionExpires(); err == nil {
			d.session, d.refresher = x.Time, strings.ToLower(string(x.Refresher()))
		}
	}
	if p.Has(sip.HdrMinSE) {
		if x, err := p.MinSE(); err == nil {
			d.least = x.Time
		}
	}
	if p.Has(sip.HdrDate) {
		d.date, _ = p.Date()
	}
	d.reliable = p.Has(sip.HdrRSeq)
	d.credential = p.Has(sip.HdrAuthorization) || p.Has(sip.HdrProxyAuthorization)
	if p.IsRequest() || p.StatusCode() < 300 {
		return
	}
	d.unsupported, d.accept = joined(p, sip.HdrUnsupported), joined(p, sip.HdrAccept)
	if p.Has(sip.HdrRetryAfter) {
		if r, err := p.RetryAfter(); err == nil {
			d.retryAfter = r.Time
		}
	}
	for a, err := range p.Challenges() {
		d.challenge(a, err)
	}
	for a, err := range p.ProxyChallenges() {
		d.challenge(a, err)
	}
	for w, err := range p.Warnings() {
		if err == nil && d.warning == "" {
			d.warning = strings.Trim(string(w.Text), `"`)
		}
	}
}

func (d *detail) challenge(a sip.Auth, err error) {
	if err != nil {
		return
	}
	if v, ok := a.Params.Get("stale"); ok && strings.EqualFold(string(v), "true") {
		d.stale = true
	}
	if v, ok := a.Params.Get("realm"); ok && d.realm == "" {
		d.realm = string(v)
	}
}

const sdpType = "application/sdp"

func (d *detail) readBody(p *sip.Message) {
	t, err := p.ContentType()
	if err != nil {
		return
	}
	d.typ = string(t.Type) + "/" + string(t.Subtype)
	switch {
	case t.Is(sdpType):
		d.sdp = readSDP(string(p.Body()))
	case strings.EqualFold(string(t.Type), "multipart"):
		for part, err := range p.Parts(8) {
			if err != nil {
				return
			}
			if t, err := part.ContentType(); err == nil && t.Is(sdpType) {
				d.sdp = readSDP(string(part.Body))
				return
			}
		}
	}
}

// places are the URIs of a header, at most a dozen.
func places(p *sip.Message, id sip.HeaderID) (all []place) {
	if !p.Has(id) {
		return nil
	}
	for v := range p.Values(id) {
		if a, err := sip.ParseAddress(v); err == nil && len(all) < 12 {
			all = append(all, placeOf(a.RawURI))
		}
	}
	return all
}

func joined(p *sip.Message, id sip.HeaderID) string {
	if !p.Has(id) {
		return ""
	}
	s := ""
	for v := range p.Values(id) {
		if s != "" {
			s += ", "
		}
		s += string(v)
	}
	return s
}

// lists reports whether a header's value has a token.
func lists(header, token string) bool {
	for v := range strings.SplitSeq(header, ",") {
		if strings.EqualFold(strings.TrimSpace(v), token) {
			return true
		}
	}
	return false
}

// excess is how many bytes of a datagram are beyond what Content-Length says, negative for those that are missing.
func excess(p *sip.Message, raw []byte) int {
	if !p.Has(sip.HdrContentLength) {
		return 0
	}
	said, err := strconv.Atoi(strings.TrimSpace(string(p.First(sip.HdrContentLength))))
	if err != nil {
		return 0
	}
	return len(p.Body()) + len(raw) - len(p.Bytes()) - said
}
