package ua

import (
	"errors"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
)

// ClientUser is told what comes back for a request.
type ClientUser interface {
	// Response gets every response: provisional, final, and each further 2xx
	// of an INVITE. The message is valid until the method returns.
	Response(s *Shard, tx *ClientTx, m *sip.Message)
	// ClientDone says that tx is over: nil, transaction.ErrTimeout, which stands for
	// a 408, or transaction.ErrTransport, which stands for a 503
	// (RFC 3261 §8.1.3.1).
	ClientDone(s *Shard, tx *ClientTx, err error)
}

// ClientTx is a client transaction. Owned by its shard, and not to be used
// after ClientDone.
type ClientTx struct {
	User ClientUser

	tx         *transaction.Client
	flow       Flow
	listed     bool
	heard      bool      // a response came
	next, prev *ClientTx // in Shard.waiting
}

// Flow returns where the request left.
func (tx *ClientTx) Flow() Flow { return tx.flow }

// CancelSent says that a CANCEL was sent for tx, an INVITE's transaction that
// has had a provisional response (RFC 3261 §9.1).
func (s *Shard) CancelSent(tx *ClientTx) {
	if tx.tx != nil {
		s.layer.CancelSent(s.now, tx.tx)
	}
}

// Request sends a request in a client transaction of its own. b is a whole
// message with the given method and, in its topmost Via, the given branch; it
// belongs to the transaction from now on.
func (s *Shard) Request(f Flow, method sip.Method, branch, b []byte, user ClientUser) *ClientTx {
	tx := &ClientTx{User: user, flow: f}
	s.wait(tx)
	tx.tx = s.layer.NewClient(s.now, transaction.Outgoing{
		Bytes: b, Method: method, Branch: branch, Reliable: f.reliable(), Owner: tx,
	})
	return tx
}

// SendClient sends a request or its ACK; it makes the shard a transaction.User.
func (s *Shard) SendClient(c *transaction.Client, b []byte) {
	tx := c.Owner.(*ClientTx)
	if err := s.transmit(tx.flow, b); err != nil {
		s.layer.ClientFailed(c, err)
	}
}

// ClientResponse passes a response up; it makes the shard a transaction.User.
func (s *Shard) ClientResponse(c *transaction.Client, m *sip.Message) {
	tx := c.Owner.(*ClientTx)
	tx.heard = true
	if m.StatusCode() >= 200 {
		s.forget(tx)
	}
	tx.User.Response(s, tx, m)
}

// ClientDone ends a client transaction; it makes the shard a transaction.User.
func (s *Shard) ClientDone(c *transaction.Client, err error) {
	tx := c.Owner.(*ClientTx)
	s.forget(tx)
	tx.tx = nil
	if !tx.heard && errors.Is(err, transaction.ErrTimeout) {
		tx.flow.Conn.Suspect(s.now.Add(-64 * s.server.Timers.T1)) // timers B and F
	}
	tx.User.ClientDone(s, tx, err)
}
