package tui

import (
	"time"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// A source is where calls come from: a running gateway or a file. None of its methods waits; what there is to tell comes to the
// model as one of the messages below.
type source interface {
	watch(what watched) // what is looked at from now on
	ask(q any)          // one of the questions below
}

// watched is what the model wants to be told of.
type watched struct {
	filter string // of the list
	flow   string // id of the ladder that is open; empty: none
}

// The questions.
type (
	askOlder       struct{ filter, before string }     // for flows before a place in the list: olderMsg
	askConnections struct{}                            // connectionsMsg
	askFindings    struct{ flows []string }            // for the whole of these flows: findingsMsg
	askExport      struct{ flow, format, path string } // exportedMsg
)

// The messages.
type (
	// flowsMsg has flows that are new, or other than they were.
	flowsMsg struct {
		filter  string // that it was asked for with
		reset   bool   // what was told before is forgotten
		changed []callflow.Summary
		gone    []string
	}

	// flowMsg is the flow whose ladder is open, as it is now.
	flowMsg struct {
		id   string // as it was asked for
		flow *callflow.Flow
		err  error
	}

	// statusMsg is how the gateway does.
	statusMsg struct {
		at     time.Time
		status api.StreamStatus
	}

	// linkMsg says whether the gateway can be reached.
	linkMsg struct {
		err   error // nil: it can
		again time.Duration
	}

	// secretsMsg says for which peers TLS secrets are kept, in words; empty: for none.
	secretsMsg struct{ text string }

	olderMsg struct {
		filter string
		flows  []callflow.Summary
		next   string // for the next askOlder; empty: that was all
		err    error
	}

	connectionsMsg struct {
		at           time.Time
		connections  []api.Connection
		certificates []api.Ending
		handshakes   []*callflow.Handshake
		err          error
	}

	findingsMsg struct {
		flows []*callflow.Flow
		err   error
	}

	exportedMsg struct {
		path string
		size int64
		err  error
	}
)
