package peer

import (
	"errors"

	"github.com/sallyport-sip/sallyport/sip/ua"
)

// ErrBusy is in the error of a Connected when the gateway itself has too much to
// do, which says nothing about the peer.
var ErrBusy = errors.New("too many connections are being made at once")

// Connected gets a connection to a peer, or why there is none. next leads on to
// the peer's next address, for a request that this one does not answer; it is nil
// when there is none left.
type Connected func(s *ua.Shard, flow ua.Flow, next Next, err error)

// Next finds a connection to the next address of a peer (RFC 3263 §4.3), in the
// order that was drawn for this request. done is called in the shard, perhaps
// before Next returns.
type Next func(s *ua.Shard, done Connected)
