package ua

import (
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// sessions is the ShardHandler that stands below a Handler.
type sessions struct{ srv *Server }

func newSessions(srv *Server) ShardHandler { return &sessions{srv} }

// Request is part of ShardHandler.
func (ss *sessions) Request(s *Shard, tx *ServerTx, p *transport.Packet) {
	s.Reply(tx, &sip.StatusError{Code: 501})
}

// Ack is part of ShardHandler.
func (ss *sessions) Ack(*Shard, *transport.Packet) {}
