// Package metrics is the page that Prometheus reads.
//
// Its main type is Sample: plain numbers, which whoever has them fills in when
// the page is asked for. Only times are counted here, by Histogram: two additions
// for a call and for a handshake. Labels have the names of configured peers, listeners and alarms, never
// what came over the network. The package starts no goroutine.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Sample is what there is to tell at one moment. Counters count since the start.
type Sample struct {
	Version  string // of the program
	Started  time.Time
	Draining bool

	Calls int // live ones
	Peers []Peer

	Setups      map[string]Times // by outcome
	Ringing     Times
	ACKsMissing map[Missing]uint64
	Handshakes  map[Handshake]Times

	Verdicts map[string]uint64 // calls that are over, by the word for how secure their signalling was

	Subscriptions int                // that go on
	Relayed       map[Relayed]uint64 // requests outside of calls

	Lookups map[string]uint64 // of names, by what became of them

	HEP map[Mirrored]uint64 // packets for collectors

	ConnectionsUnknown int                // live streams from nobody we know
	ConnectionsRefused map[Refusal]uint64 // that did not come up

	KeepAlives, Pings, NotSIP uint64            // what passed between messages
	ConnectionsDead           map[string]uint64 // found dead, by the sign

	LimitsPassed map[Passed]uint64

	Recording Recording

	Records *Records // nil: calls are not recorded
	Alarms  []string
	Events  Events
	Shipped map[string]uint64 // records of calls that a target has taken, by its name
	// Accounting is what became of the requests of targets that are RADIUS, by name.
	Accounting map[string]Accounting

	Endings    map[Ending]time.Duration // how long what ends first of each still counts
	Responders map[string]uint64        // OCSP responders that were asked, by what they said

	ConfigurationLoaded time.Time
	Reloads             uint64 // that took a new configuration
	ReloadsRefused      uint64
	Renewals            uint64 // changes of certificate files that were taken
	RenewalsRefused     uint64
	ConnectionsFailing  int // live streams that the configuration refuses
}

// Peer is one peer of the configuration.
type Peer struct {
	Name              string
	Up                bool
	In, Out           Load
	Connections       int               // live streams
	ConnectionsOpened uint64            // in both directions
	Aliased           int               // live streams of the peer's that serve our requests too
	Kept              *bool             // the connection that is to be kept up is; nil: none is
	CallsRefused      map[string]uint64 // INVITEs that did not become a call, by class
	ClaimsRefused     uint64            // requests refused for who they said that they were from
	ClaimsStripped    uint64            // values of headers left out for it
	Large             *Large            // nil unless the peer is on UDP
}

// Large is requests too large for UDP: those that left by TCP, those for which it
// was tried in vain, and those for which it was not tried.
type Large struct{ Taken, Refused, Spared uint64 }

// Load is the calls of a peer in one direction.
type Load struct {
	Calls                    int64
	Began, Answered, Limited uint64
	Failed                   map[string]uint64 // by class
}

// Mirrored is what became of packets for a HEP collector: sent, dropped or too_long.
type Mirrored struct{ Collector, Outcome string }

// Relayed is one kind of request outside of calls, by what became of it.
type Relayed struct{ Method, Outcome string }

// Refusal is one kind of connection that did not come up.
type Refusal struct {
	Peer   string // empty: the connection was made to us
	Reason string // a code, see docs/reference/faults.md
	By     string // "gateway" or "peer"; empty when nobody said why
}

// Ending is what ends of one identity, trust or peer, by its kind.
type Ending struct{ Kind, Name string }

// Passed is a limit of a listener, of docs/reference/limits.md.
type Passed struct {
	Listener string // empty: of connections that we made
	Reason   string // the limit's name
}

// Records is how the records of calls reach the disk.
type Records struct {
	Waiting int    // bytes that the disk has not been asked to take yet
	Lost    uint64 // records that found no room in memory while the disk took none

	HandshakesLost uint64 // records of handshakes that had to go before they were written
	Failing        bool   // the disk takes none
}

// Handler returns the page. read is called each time it is asked for, perhaps by
// several at once.
func Handler(read func() Sample) http.Handler {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(&collector{read}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// The metrics. docs/reference/api.md lists them.
var (
	descBuild     = desc("build_info", "The program; its value is 1.", "version")
	descStarted   = desc("start_time_seconds", "When the gateway began to serve.")
	descDraining  = desc("draining", "1 while new calls are refused because the gateway is told to stop.")
	descCalls     = desc("calls", "Live calls.")
	descPeerUp    = desc("peer_up", "1 when the peer is believed to answer.", "peer")
	descPeerCalls = desc("peer_calls", "Live calls of a peer; direction in: from the peer, out: to it.", "peer", "direction")
	descBegan     = desc("peer_calls_began_total", "Calls that began.", "peer", "direction")
	descAnswered  = desc("peer_calls_answered_total", "Calls that were answered.", "peer", "direction")
	descFailed    = desc("peer_calls_failed_total", "Calls that ended without an answer, by how.", "peer", "direction", "class")
	descLimited   = desc("peer_calls_limited_total", "Calls refused, or passed on to another target, for a limit of the peer.", "peer", "direction")
	descVerdicts  = desc("calls_by_verdict_total", "Calls that are over, by how secure their signalling was.", "verdict")
	descSubs      = desc("subscriptions", "Subscriptions that go on.")
	descRelayed   = desc("relayed_requests_total", "Requests outside of calls, by what became of them.", "method", "outcome")
	descLookups   = desc("dns_lookups_total", "Look-ups of one type of record of one name, by what became of them; cached ones asked nobody.", "outcome")
	descHEP       = desc("hep_packets_total", "Packets for HEP collectors, by what became of them.", "collector", "outcome")
	descConns     = desc("connections", "Live TCP and TLS connections; peer is empty for nobody we know.", "peer")
	descOpened    = desc("connections_opened_total", "Connections that came up, in both directions.", "peer")
	descRefused   = desc("connections_refused_total", "Connections that did not come up, by reason and who refused; peer is empty for those made to us, by when nobody said why.", "peer", "reason", "by")
	descAliased   = desc("connections_aliased", "Live connections that the peer made and that serve our requests too (RFC 5923).", "peer")
	descKept      = desc("peer_kept_connected", "1 when the connection is up that is to be kept up.", "peer")
	descClaims    = desc("peer_claims_total", "What a peer said about who its requests are from and may not: refused with 403, or stripped.", "peer", "outcome")
	descLarge     = desc("peer_large_requests_total", "Requests too large for UDP; way tcp, or by UDP all the same: TCP was refused, or untried because it was refused before.", "peer", "way")
	descDead      = desc("connections_dead_total", "Connections that were found dead, by the sign.", "sign")
	descAlive     = desc("keep_alives_received_total", "CRLFs between messages, and datagrams of nothing else, that were sent to us.")
	descPings     = desc("keep_alives_sent_total", "Pings on connections, and keep-alives to peers on UDP.")
	descNotSIP    = desc("datagrams_not_sip_total", "Datagrams that are no SIP, such as STUN.")
	descPassed    = desc("limits_passed_total", "What was refused, dropped or ended because a limit was passed; listener is empty for connections that we made.", "listener", "reason")
	descWaiting   = desc("records_waiting_bytes", "Size of the records of calls that wait to be written; more than a few MB means that the disk lags.")
	descFailing   = desc("records_failing", "1 while the disk takes no records.")
	descLost      = desc("records_lost_total", "Records that found no room in memory while the disk took none.")
	descShakes    = desc("handshake_records_lost_total", "Records of TLS handshakes that had to go before they were written.")
	descAlarm     = desc("alarm", "1 for each alarm that lasts.", "alarm")
	descEnding    = desc("certificate_expiry_seconds", "How long the certificate, CRL or OCSP answer still counts that ends first; negative when it has ended.", "kind", "name")
	descResponder = desc("ocsp_lookups_total", "OCSP responders that were asked, by what they said; failed: nothing that counts.", "outcome")
	descLoaded    = desc("configuration_loaded_time_seconds", "When the configuration came into force.")
	descReloads   = desc("configuration_reloads_total", "Reloads; result taken or refused.", "result")
	descRenewals  = desc("certificate_changes_total", "Changes of certificate files that were noticed without a reload; result taken or refused.", "result")
	descUnfit     = desc("connections_failing", "Live connections that the configuration in force refuses; they only serve the calls they have.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sallyport_"+name, help, labels, nil)
}

// collector makes metrics of a sample.
type collector struct{ read func() Sample }

// Describe says nothing: which peers there are is only known when asked.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.read()
	p := page{out}
	p.gauge(descBuild, 1, s.Version)
	p.gauge(descStarted, seconds(s.Started))
	p.gauge(descDraining, truth(s.Draining))
	p.gauge(descCalls, float64(s.Calls))
	for word, n := range s.Verdicts {
		p.counter(descVerdicts, n, word)
	}
	p.calls(&s)
	p.recording(&s.Recording)
	for i := range s.Peers {
		p.peer(&s.Peers[i])
	}
	p.gauge(descSubs, float64(s.Subscriptions))
	for r, n := range s.Relayed {
		p.counter(descRelayed, n, r.Method, r.Outcome)
	}
	for outcome, n := range s.Lookups {
		p.counter(descLookups, n, outcome)
	}
	for m, n := range s.HEP {
		p.counter(descHEP, n, m.Collector, m.Outcome)
	}
	p.gauge(descConns, float64(s.ConnectionsUnknown), "")
	for r, n := range s.ConnectionsRefused {
		p.counter(descRefused, n, r.Peer, r.Reason, r.By)
	}
	for sign, n := range s.ConnectionsDead {
		p.counter(descDead, n, sign)
	}
	p.counter(descAlive, s.KeepAlives)
	p.counter(descPings, s.Pings)
	p.counter(descNotSIP, s.NotSIP)
	for l, n := range s.LimitsPassed {
		p.counter(descPassed, n, l.Listener, l.Reason)
	}
	if s.Records != nil {
		p.gauge(descWaiting, float64(s.Records.Waiting))
		p.gauge(descFailing, truth(s.Records.Failing))
		p.counter(descLost, s.Records.Lost)
		p.counter(descShakes, s.Records.HandshakesLost)
	}
	p.events(&s.Events)
	p.accounting(s.Accounting)
	for name, n := range s.Shipped {
		p.counter(descShipped, n, name)
	}
	for _, name := range s.Alarms {
		p.gauge(descAlarm, 1, name)
	}
	for e, left := range s.Endings {
		p.gauge(descEnding, left.Seconds(), e.Kind, e.Name)
	}
	for outcome, n := range s.Responders {
		p.counter(descResponder, n, outcome)
	}
	p.gauge(descLoaded, seconds(s.ConfigurationLoaded))
	p.counter(descReloads, s.Reloads, "taken")
	p.counter(descReloads, s.ReloadsRefused, "refused")
	p.counter(descRenewals, s.Renewals, "taken")
	p.counter(descRenewals, s.RenewalsRefused, "refused")
	p.gauge(descUnfit, float64(s.ConnectionsFailing))
}

// page takes metrics one at a time.
type page struct{ out chan<- prometheus.Metric }

func (p page) gauge(d *prometheus.Desc, v float64, labels ...string) {
	p.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (p page) counter(d *prometheus.Desc, n uint64, labels ...string) {
	p.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func (p page) histogram(d *prometheus.Desc, t Times, labels ...string) {
	p.out <- prometheus.MustNewConstHistogram(d, t.Count, t.Sum.Seconds(), t.Upto, labels...)
}

func (p page) peer(one *Peer) {
	p.gauge(descPeerUp, truth(one.Up), one.Name)
	p.gauge(descConns, float64(one.Connections), one.Name)
	p.counter(descOpened, one.ConnectionsOpened, one.Name)
	p.gauge(descAliased, float64(one.Aliased), one.Name)
	for class, n := range one.CallsRefused {
		p.counter(descTurned, n, one.Name, class)
	}
	p.counter(descClaims, one.ClaimsRefused, one.Name, "refused")
	p.counter(descClaims, one.ClaimsStripped, one.Name, "stripped")
	if one.Kept != nil {
		p.gauge(descKept, truth(*one.Kept), one.Name)
	}
	if l := one.Large; l != nil {
		p.counter(descLarge, l.Taken, one.Name, "tcp")
		p.counter(descLarge, l.Refused, one.Name, "refused")
		p.counter(descLarge, l.Spared, one.Name, "untried")
	}
	for _, way := range []struct {
		name string
		load *Load
	}{{"in", &one.In}, {"out", &one.Out}} {
		p.gauge(descPeerCalls, float64(way.load.Calls), one.Name, way.name)
		p.counter(descBegan, way.load.Began, one.Name, way.name)
		p.counter(descAnswered, way.load.Answered, one.Name, way.name)
		for class, n := range way.load.Failed {
			p.counter(descFailed, n, one.Name, way.name, class)
		}
		p.counter(descLimited, way.load.Limited, one.Name, way.name)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
