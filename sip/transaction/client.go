package transaction

import (
	"bytes"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// Client is a client transaction (RFC 3261 §17.1). It belongs to its Layer,
// which uses it again after User.ClientDone. Owned by the shard.
type Client struct {
	Owner  any        // the TU's, as given to NewClient
	Method sip.Method // of the request

	layer   *Layer
	machine clientMachine // &invite or &other
	invite  inviteClient
	other   nonInviteClient
	timer   Timer
	place   link[Client]
	branch  []byte
	request []byte
	ack     []byte // for a 300-699, once built
	failure error  // reported while the layer was calling the user
	calling bool   // the layer is calling the user about this transaction
}

type clientMachine interface {
	start(now time.Duration) action
	response(now time.Duration, code int) action
	expire(now time.Duration) action
	cancel(now time.Duration)
	fail() action
	next() time.Duration
	current() State
}

// Outgoing is a request to be sent in a new client transaction.
type Outgoing struct {
	Bytes    []byte     // the whole request, kept until a final response
	Method   sip.Method // of the request, never ACK
	Branch   []byte     // of its topmost Via; copied
	Reliable bool       // the transport is TCP, TLS or the like
	Owner    any        // becomes Client.Owner
}

// State returns where the transaction is.
func (c *Client) State() State { return c.machine.current() }

// Branch returns the branch of the request. It is valid until ClientDone has
// returned.
func (c *Client) Branch() []byte { return c.branch }

// Request returns the request as it was sent, nil once there is a final
// response: nothing here needs it from then on.
func (c *Client) Request() []byte { return c.request }

// NewClient starts a client transaction and sends its request. The request's
// bytes must not change until ClientDone. It panics for ACK, which has no
// transaction of its own (RFC 3261 §17).
func (l *Layer) NewClient(now time.Time, req Outgoing) *Client {
	if req.Method == sip.ACK {
		panic("transaction: an ACK has no client transaction")
	}
	c := pop(&l.freeClients)
	c.Owner, c.Method, c.request = req.Owner, req.Method, req.Bytes
	c.layer = l
	c.timer.Owner, c.timer.Fire = c, expireClient
	c.branch = append(c.branch[:0], req.Branch...)
	core := machine{cfg: &l.cfg, reliable: req.Reliable}
	if req.Method == sip.INVITE {
		c.invite = inviteClient{machine: core}
		c.machine = &c.invite
	} else {
		c.other = nonInviteClient{core}
		c.machine = &c.other
	}
	l.clients.insert(l.hash(c.branch), &c.place, c)
	l.count++
	at := l.instant(now)
	l.runClient(at, c, c.machine.start(at), nil)
	return c
}

// Response gives a response to its transaction (RFC 3261 §17.1.3). It returns
// false for a stray one, which has to be dropped: "the element MUST NOT forward
// the response" (RFC 6026 §8.2). m has passed Check and stays the caller's.
func (l *Layer) Response(now time.Time, m *sip.Message) bool {
	via, err := m.Via()
	if err != nil {
		return false
	}
	c := l.client(via.Branch(), m.Method())
	if c == nil {
		return false
	}
	at := l.instant(now)
	l.runClient(at, c, c.machine.response(at, m.StatusCode()), m)
	return true
}

// client finds a client transaction. "The method is needed since a CANCEL
// request constitutes a different transaction, but shares the same value of the
// branch parameter."
func (l *Layer) client(branch []byte, method sip.Method) *Client {
	for p := l.clients[l.hash(branch)]; p != nil; p = p.next {
		if p.of.Method == method && bytes.Equal(p.of.branch, branch) {
			return p.of
		}
	}
	return nil
}

// CancelSent says that the TU has sent a CANCEL for an INVITE client
// transaction in Proceeding, as a client transaction of its own with the same
// branch. The INVITE then ends with ErrTimeout if no final response comes in
// 64*T1 (RFC 3261 §9.1).
func (l *Layer) CancelSent(now time.Time, c *Client) {
	at := l.instant(now)
	c.machine.cancel(at)
	l.timers.set(&c.timer, c.machine.next())
}

// ClientFailed says that what c sent could not be transmitted, or that its
// connection is lost (RFC 3261 §17.1.4). The transaction ends with ErrTransport
// at once or, when this is called from within a User method about c, at the
// next Timers.Advance. In Completed (but for INVITE) and Accepted it does
// nothing: there is nothing more to send.
func (l *Layer) ClientFailed(c *Client, cause error) {
	if c.calling {
		c.failure = failed(cause)
		return
	}
	l.failClient(c, failed(cause))
}

func (l *Layer) failClient(c *Client, err error) bool {
	if c.machine.fail() == 0 {
		return false
	}
	l.endClient(c, err)
	return true
}

func expireClient(owner any, now time.Time) {
	c := owner.(*Client)
	l := c.layer
	if err := c.failure; err != nil {
		c.failure = nil
		if l.failClient(c, err) {
			return
		}
	}
	at := l.instant(now)
	l.runClient(at, c, c.machine.expire(at), nil)
}

// runClient does what the machine asked for. m is the response that made it
// ask, if any.
func (l *Layer) runClient(at time.Duration, c *Client, a action, m *sip.Message) {
	c.calling = true
	if a&actSend != 0 {
		l.user.SendClient(c, c.request)
	}
	if a&actAck != 0 {
		if c.ack == nil {
			c.ack = l.buildAck(c.request, m)
		}
		l.user.SendClient(c, c.ack)
	}
	if a&actPass != 0 {
		l.user.ClientResponse(c, m)
	}
	c.calling = false
	if a&actDone != 0 {
		var err error
		if a&actTimeout != 0 {
			err = ErrTimeout
		}
		l.endClient(c, err)
		return
	}
	if state := c.State(); state == Accepted || state == Completed {
		c.request = nil // the ACK to a failure is built
	}
	next := c.machine.next()
	if c.failure != nil {
		next = at // it is told when nobody is in the middle of something
	}
	l.timers.set(&c.timer, next)
}

func (l *Layer) endClient(c *Client, err error) {
	l.timers.Stop(&c.timer)
	l.clients.remove(&c.place)
	l.count--
	l.user.ClientDone(c, err)
	l.recycle(c.ack)
	c.Owner, c.request, c.ack, c.failure = nil, nil, nil, nil
	push(&l.freeClients, c)
}
