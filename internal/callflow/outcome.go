package callflow

import "fmt"

// Conclude sets the outcome, who refused, the code, the sentence and the remedy by the verdicts, connection and names that h has. What the
// verdicts say decides; no verdict at all is a failure.
func (h *Handshake) Conclude() {
	h.Outcome, h.By, h.Code, h.Remedy = OutcomeFailed, "", "", ""
	var no *Verdict
	accepted := [2]bool{}
	for i := range h.Verdicts {
		v := &h.Verdicts[i]
		switch {
		case v.Accepted && v.ByGateway:
			accepted[0] = true
		case v.Accepted:
			accepted[1] = true
		case !v.Undecided && no == nil:
			no = v
		}
	}
	switch {
	case no == nil && accepted[0] && accepted[1]:
		h.Outcome = OutcomeGood
	case no == nil && accepted[0]:
		h.Outcome = OutcomeOpen
	case no != nil:
		h.Code, h.Remedy = no.Code, no.Remedy
		if no.KnownBy != Unknown {
			h.Outcome, h.By = OutcomeRefused, side(no.ByGateway)
		}
	}
	h.Sentence = h.sentence(no)
	h.likely(no)
}

// likely takes the remedy of the likeliest cause where the peer's own word brings none, or less.
func (h *Handshake) likely(no *Verdict) {
	if no == nil || no.ByGateway {
		return
	}
	for i := range h.Verdicts {
		if v := &h.Verdicts[i]; v != no && v.KnownBy == Inferred && !v.Accepted && !v.Undecided && v.Remedy != "" {
			h.Remedy = v.Remedy
			return
		}
	}
}

func side(gateway bool) string {
	if gateway {
		return "gateway"
	}
	return "peer"
}

// Who names the other side: the peer, else the address.
func (h *Handshake) Who() string {
	switch {
	case h.Peer != "":
		return h.Peer
	case h.Remote.IsValid():
		return h.Remote.String()
	}
	return "an unknown address"
}

// where says on which connection: "on listener outside" or "at 192.0.2.9:5061".
func (h *Handshake) where() string {
	if h.Role == RoleServer {
		return fmt.Sprintf("on listener %q", h.Listener)
	}
	return "at " + h.Remote.String()
}

func (h *Handshake) sentence(no *Verdict) string {
	switch {
	case h.Outcome == OutcomeGood && h.Role == RoleServer:
		return fmt.Sprintf("%s called %s, and both sides accepted", h.Who(), h.where())
	case h.Outcome == OutcomeGood:
		return fmt.Sprintf("the gateway called %s %s, and both sides accepted", h.Who(), h.where())
	case h.Outcome == OutcomeOpen:
		return fmt.Sprintf("the gateway accepted %s %s, which has not yet said whether it accepts the gateway", h.Who(), h.where())
	case no == nil:
		return fmt.Sprintf("the connection with %s %s ended, and nothing tells why", h.Who(), h.where())
	case h.By == "gateway":
		return fmt.Sprintf("the gateway refused %s %s: %s", h.Who(), h.where(), no.Reason)
	case h.By == "peer":
		return fmt.Sprintf("%s refused the gateway %s: %s", h.Who(), h.where(), no.Reason)
	}
	return fmt.Sprintf("no handshake with %s %s: %s", h.Who(), h.where(), no.Reason)
}
