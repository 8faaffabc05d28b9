package dialog

import (
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
)

// NextSeq returns the sequence number of our next request: one more than the
// last, or 1 when there was none (RFC 3261 §12.2.1.1). ACK and CANCEL do not
// take one: they repeat that of their INVITE.
func (d *Dialog) NextSeq() uint32 {
	if !d.LocalSeq.Known {
		d.LocalSeq = Seq{Known: true}
	}
	d.LocalSeq.Value++
	return d.LocalSeq.Value
}

// Start writes the request line of a request inside the dialog. The caller
// writes its Via and Max-Forwards behind it, then calls Headers.
func (d *Dialog) Start(b *sip.Builder, method sip.Method) {
	uri, _ := d.Route()
	b.Request(method, []byte(uri))
}

// Headers writes Route, From, To, Call-ID and CSeq of a request inside the
// dialog. seq is NextSeq, or for an ACK or CANCEL that of its INVITE.
func (d *Dialog) Headers(b *sip.Builder, method sip.Method, seq uint32) {
	_, routes := d.Route()
	for _, r := range routes {
		b.Header("Route", r)
	}
	d.Local.write(b, "From", d.ID.LocalTag)
	d.Remote.write(b, "To", d.ID.RemoteTag)
	b.Header("Call-ID", d.ID.CallID)
	b.CSeq(seq, method)
}

func (p Party) write(b *sip.Builder, header, tag string) {
	space, mark := "", ";tag="
	if p.Display != "" {
		space = " "
	}
	// "If the value of the remote or local tags is null, the tag parameter MUST
	// be omitted."
	if tag == "" {
		mark = ""
	}
	b.Header(header, p.Display, space, "<", p.URI, ">", mark, tag)
}

// Route returns the Request-URI and the Route values of a request inside the
// dialog (RFC 3261 §12.2.1.1).
func (d *Dialog) Route() (requestURI string, routes []string) {
	if len(d.Routes) == 0 || loose(d.Routes[0]) {
		return forRequestLine(d.Target), raised(d.Routes, sips(d.Target))
	}
	// A strict router: it goes into the Request-URI, and the remote target "into
	// the Route header field as the last value".
	routes = append(routes, d.Routes[1:]...)
	return forRequestLine(uriOf(d.Routes[0])), append(routes, "<"+d.Target+">")
}

// NextHop returns the URI that a request inside the dialog is sent to: the
// first of the route set, strict or loose, otherwise the remote target
// (RFC 3261 §8.1.2).
func (d *Dialog) NextHop() string {
	if len(d.Routes) > 0 {
		return uriOf(d.Routes[0])
	}
	return d.Target
}

// loose says whether the router of a Route value has the lr parameter.
func loose(route string) bool {
	u, err := sip.ParseURI([]byte(uriOf(route)))
	if err != nil {
		return false
	}
	_, lr := u.Params.Get("lr")
	return lr
}

// uriOf returns what stands between the angle brackets of a Route value.
func uriOf(route string) string {
	a, err := sip.ParseAddress([]byte(route))
	if err != nil {
		return route
	}
	return string(a.RawURI)
}

// forRequestLine strips what a Request-URI may not have: the method parameter
// and headers (RFC 3261 §19.1.1, table 1).
func forRequestLine(uri string) string {
	if !strings.Contains(uri, "?") && !strings.Contains(strings.ToLower(uri), "method") {
		return uri // nearly always
	}
	u, err := sip.ParseURI([]byte(uri))
	if err != nil || !u.SIP() {
		return uri
	}
	if u.Headers != nil {
		uri = uri[:len(uri)-len("?")-len(u.Headers)]
	}
	if _, ok := u.Params.Get("method"); !ok {
		return uri
	}
	var kept strings.Builder
	kept.WriteString(uri[:len(uri)-len(u.Params)])
	for p := range strings.SplitSeq(string(u.Params[1:]), ";") {
		if name, _, _ := strings.Cut(p, "="); !strings.EqualFold(name, "method") {
			kept.WriteString(";" + p)
		}
	}
	return kept.String()
}
