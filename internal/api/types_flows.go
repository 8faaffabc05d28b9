package api

import "github.com/sallyport-sip/sallyport/internal/callflow"

// FlowList is the document of GET /api/v1/flows.
type FlowList struct {
	Version int                `json:"version"` // 1
	Flows   []callflow.Summary `json:"flows"`   // the newest first
	Next    string             `json:"next"`    // for before=, to get those that follow; empty: there are none
	Cut     bool               `json:"cut"`     // the search has taken long and did not come to the end: next goes on where it stopped
	Dropped uint64             `json:"dropped"` // events that memory had no room for, since the start
}

// FlowChanges is the event "flows" of GET /api/v1/stream.
type FlowChanges struct {
	Changed []callflow.Summary `json:"changed"` // new ones too
	Gone    []string           `json:"gone"`    // ids of those that memory has no more, or that do not fit the filter any more
}

// StreamStatus is the event "status" of GET /api/v1/stream.
type StreamStatus struct {
	Calls       int     `json:"calls"`       // live ones
	Connections int     `json:"connections"` // live streams
	Failed      int     `json:"failed"`      // calls in memory that failed
	Refused     int     `json:"refused"`     // handshakes in memory that were refused and belong to no call
	Ring        float64 `json:"ring"`        // how full the memory is, in percent
	Dropped     uint64  `json:"dropped"`     // events that it had no room for, since the start
}
