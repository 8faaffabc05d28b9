package dialog

// Effect is what the failure of a request inside a dialog means beyond its own
// transaction (RFC 5057 §5.1).
type Effect uint8

// The effects, from the least to the most.
const (
	// EndsTransaction: the session goes on as it was, "as if the request had not
	// been issued" (RFC 3261 §14.1).
	EndsTransaction Effect = iota
	// EndsUsage: what the request belonged to is over, such as the session or a
	// subscription; other usages of the dialog are not.
	EndsUsage
	// EndsDialog: the other side cannot be reached in the dialog, or has none.
	EndsDialog
)

// EffectOf returns the effect of a final response, a 408 standing for none at
// all. What is not in the list ends the transaction and nothing else: 422, 488,
// 491 and 500 above all.
func EffectOf(code int) Effect {
	switch code {
	case 405, 408, 480, 481, 489, 501:
		return EndsUsage
	case 404, 410, 416, 482, 483, 484, 485, 502, 604:
		return EndsDialog
	}
	return EndsTransaction
}

// EndsSession says whether a final response to a request of the INVITE usage
// (INVITE, UPDATE, INFO, BYE) means that the session is over. It is RFC 5057's
// table but for three codes: a side that refuses with 405, 480 or 501 goes on
// talking in practice, and RFC 3261 §14.1 leaves it its session.
func EndsSession(code int) bool {
	return Ends(code) || EffectOf(code) == EndsDialog
}
