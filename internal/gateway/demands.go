package gateway

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// hopDemands refuses a request that asks the hops on its way for an extension:
// the gateway is one of them and has none (RFC 3261 §16.3, §20.29). What Require
// asks for is the business of whom the request is for.
func hopDemands(m *sip.Message) error {
	if !m.Has(sip.HdrProxyRequire) {
		return nil
	}
	header := []byte("Unsupported:")
	for tag := range m.Values(sip.HdrProxyRequire) {
		if len(header) > len("Unsupported:") {
			header = append(header, ',')
		}
		header = append(append(header, ' '), tag...)
	}
	return &sip.StatusError{Code: 420, Header: string(header), Err: errors.New("none of what Proxy-Require asks for is here")}
}

// answerable refuses an INVITE that offers or awaits a session description and
// takes none in return (RFC 3261 §21.4.7, RFC 4475 §3.3.15): a call would come up
// whose answer the caller cannot use.
func (g *Gateway) answerable(p *transport.Packet, from *peer.Peer) error {
	m := p.Msg
	if !m.Has(sip.HdrAccept) || m.Has(sip.HdrContentType) && !isType(m.First(sip.HdrContentType), "application/sdp") {
		return nil
	}
	for v := range m.Values(sip.HdrAccept) {
		if isType(v, "application/sdp") || isType(v, "application/*") || isType(v, "*/*") {
			return nil
		}
	}
	return &sip.StatusError{
		Code:   406,
		Header: fmt.Sprintf("Warning: 399 %s %q", g.Place(from, p.Conn).HostPort, "Accept lacks application/sdp"),
		Err:    errors.New("no answer could be given: Accept lacks application/sdp"),
	}
}

// isType compares a media type or range, whatever its parameters are.
func isType(v []byte, want string) bool {
	t, _, _ := bytes.Cut(v, []byte(";"))
	major, minor, _ := bytes.Cut(t, []byte("/"))
	wantMajor, wantMinor, _ := bytes.Cut([]byte(want), []byte("/"))
	return bytes.EqualFold(bytes.TrimSpace(major), wantMajor) && bytes.EqualFold(bytes.TrimSpace(minor), wantMinor)
}
