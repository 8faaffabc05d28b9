package config

// Limits bound what one peer may do. A limit that is not written does not hold.
type Limits struct {
	Place

	// How many calls from the peer there may be at once.
	CallsIn Count `yaml:"calls_in" form:"number"`

	// How many calls to the peer there may be at once. A target that is full is
	// passed over for the next one of the route.
	CallsOut Count `yaml:"calls_out" form:"number"`

	// How many calls, and other requests outside of calls, from the peer may begin
	// in a second. A burst of that many is let through.
	RateIn Count `yaml:"rate_in" form:"number"`

	// How many calls, and other requests outside of calls, to the peer may begin in a
	// second. A target above it is
	// passed over for the next one of the route.
	RateOut Count `yaml:"rate_out" form:"number"`

	// How many subscriptions, by SUBSCRIBE, the peer may have at once. All peers
	// together have 100000, and one without this limit half of them at most.
	Subscriptions Count `yaml:"subscriptions" form:"number"`

	// What a call above a limit is refused with: 503, after which many senders
	// try another gateway, or 486, after which they tell the caller that it is
	// busy. The Warning of the response and the record of the call say which
	// limit it was. Default: 503.
	RefuseWith Refusal `yaml:"refuse_with" form:"503 or 486"`

	// How long a call with the peer may last; then both sides get BYE. Default:
	// any time.
	LongestCall Duration `yaml:"longest_call" form:"duration"`
}

// Refusal is the status code of a call above a limit.
type Refusal int

// The values of refuse_with.
const (
	RefuseUnavailable Refusal = 503
	RefuseBusy        Refusal = 486
)

func (*Refusal) number() {}

func (f *Refusal) set(text string) *fault {
	switch text {
	case "503":
		*f = RefuseUnavailable
	case "486":
		*f = RefuseBusy
	default:
		return &fault{why: "it is 503 or 486", remedy: "choose one"}
	}
	return nil
}
