package peer

import (
	"errors"

	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// ErrBusy is in the error of a Connected when the gateway itself has too much to
// do, which says nothing about the peer.
var ErrBusy = errors.New("too many connections are being made at once")

// Connected gets a connection to a peer, or why there is none; flow.Addr is the
// address that was tried, also with an error. next leads on to the peer's next
// address, for a request that this one does not answer; it is nil when there is none
// left. Since names are looked up as they are needed, next may also find that there
// was none: the error is resolve.ErrEnd then.
type Connected func(s *ua.Shard, flow ua.Flow, next Next, err error)

// Next finds a connection to the next address of a peer (RFC 3263 §4.3), in the
// order that was drawn for this request. done is called in the shard, perhaps
// before Next returns.
type Next func(s *ua.Shard, done Connected)

// AnyAddress makes a Connected for what any address of a peer will do for: while
// one cannot be reached it goes on to the next. done gets the last error.
func AnyAddress(done Connected) Connected {
	var before error
	var connected Connected
	connected = func(s *ua.Shard, flow ua.Flow, next Next, err error) {
		switch {
		case err == nil:
			done(s, flow, next, nil)
		case errors.Is(err, resolve.ErrEnd) && before != nil:
			done(s, ua.Flow{}, nil, before)
		case next != nil:
			before = err
			next(s, connected)
		default:
			done(s, ua.Flow{}, nil, err)
		}
	}
	return connected
}
