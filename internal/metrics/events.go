package metrics

// Events is what applications are told.
type Events struct {
	Emitted uint64
	Readers int    // of the stream
	Cut     uint64 // of those, who were too slow

	Webhooks []Webhook
}

// Webhook is how one endpoint does.
type Webhook struct {
	Name                              string
	Waiting                           int    // events
	Delivered, GaveUp, Lost, Attempts uint64 // Attempts are requests that came to nothing
}

var (
	descEvents   = desc("events_total", "Events of which applications are told.")
	descReaders  = desc("event_readers", "Readers of the stream of events.")
	descCut      = desc("event_readers_cut_total", "Readers of the stream of events that were cut because they were too slow.")
	descHook     = desc("webhook_events_total", "Events for a webhook that were delivered, gave_up: too old, or lost: no room.", "webhook", "outcome")
	descAttempts = desc("webhook_attempts_failed_total", "Requests to a webhook that came to nothing, and are made again.", "webhook")
	descShipped  = desc("cdr_shipped_total", "Records of calls that a target of cdr_ship has taken.", "shipment")
	descRADIUS   = desc("radius_requests_total", "Of a target of cdr_ship that is RADIUS: requests sent again, servers that were silent, answers that were forged and dropped.", "shipment", "outcome")
	descHookWait = desc("webhook_waiting_events", "Events that a webhook has not taken yet.", "webhook")
)

// Accounting is what became of RADIUS requests.
type Accounting struct{ Again, Silent, Forged uint64 }

func (p page) accounting(all map[string]Accounting) {
	for name, a := range all {
		p.counter(descRADIUS, a.Again, name, "again")
		p.counter(descRADIUS, a.Silent, name, "silent")
		p.counter(descRADIUS, a.Forged, name, "forged")
	}
}

func (p page) events(e *Events) {
	p.counter(descEvents, e.Emitted)
	p.gauge(descReaders, float64(e.Readers))
	p.counter(descCut, e.Cut)
	for _, w := range e.Webhooks {
		p.counter(descHook, w.Delivered, w.Name, "delivered")
		p.counter(descHook, w.GaveUp, w.Name, "gave_up")
		p.counter(descHook, w.Lost, w.Name, "lost")
		p.counter(descAttempts, w.Attempts, w.Name)
		p.gauge(descHookWait, float64(w.Waiting), w.Name)
	}
}
