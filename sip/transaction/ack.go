package transaction

import "github.com/sallyport-sip/sallyport/sip"

// buildAck makes the ACK to a final response of 300 to 699 from the request and
// that response (RFC 3261 §17.1.1.3). Who sends the ACK to a 2xx is the TU.
func (l *Layer) buildAck(request []byte, response *sip.Message) []byte {
	req := sip.Acquire()
	defer req.Release()
	// The request is ours; if it could not be read in full, what is readable
	// makes the best ACK there is.
	_ = req.Load(request)

	b := &l.builder
	b.Reset(l.buffer())
	b.Request(sip.ACK, req.RequestURI())
	// "The ACK MUST contain a single Via header field, and this MUST be equal
	// to the top Via header field of the original request."
	for via := range req.Values(sip.HdrVia) {
		b.HeaderBytes("Via", via)
		break
	}
	for f := range req.Fields() {
		switch f.ID {
		// "If the INVITE request whose response is being acknowledged had Route
		// header fields, those header fields MUST appear in the ACK." For the
		// credentials see RFC 3261 §22.1. The UUIDs are those of the INVITE
		// (RFC 7989 §7).
		case sip.HdrRoute, sip.HdrFrom, sip.HdrCallID, sip.HdrMaxForwards, sip.HdrSessionID,
			sip.HdrAuthorization, sip.HdrProxyAuthorization:
			b.HeaderBytes(f.ID.String(), f.Value)
		}
	}
	// "The To header field in the ACK MUST equal the To header field in the
	// response being acknowledged."
	b.HeaderBytes("To", response.First(sip.HdrTo))
	// "... the same value for the sequence number as was present in the
	// original request, but the method parameter MUST be equal to ACK."
	cseq, _ := req.CSeq()
	b.CSeq(cseq.Seq, sip.ACK)
	return b.Finish(nil)
}
