package metrics

import (
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// lines returns what Prometheus would read of a sample, without what Go and the
// system tell about the process.
func lines(t *testing.T, s Sample) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(func() Sample { return s }).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("got %d: %s", w.Code, w.Body)
	}
	var own strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "sallyport_") {
			own.WriteString(line)
		}
	}
	return own.String()
}

func full() Sample {
	return Sample{
		Version: "v1", Started: time.Unix(1000, 0), Draining: true, Calls: 3, Verdicts: map[string]uint64{"hop-by-hop": 5},
		Lookups: map[string]uint64{"cached": 8}, HEP: map[Mirrored]uint64{{"homer", "dropped"}: 19}, Subscriptions: 4, Relayed: map[Relayed]uint64{{"MESSAGE", "delivered"}: 6},
		Peers: []Peer{{
			Name: `ac"me`, Up: true, Connections: 2, ConnectionsOpened: 9, Aliased: 1, ClaimsRefused: 17, ClaimsStripped: 18, Kept: new(bool), Large: &Large{3, 2, 1},
			CallsRefused: map[string]uint64{"4xx": 5},
			In:           Load{Calls: 1, Began: 10, Answered: 7, Failed: map[string]uint64{"busy": 2}, Limited: 4},
			Out:          Load{Calls: 2, Began: 20, Answered: 16, Failed: map[string]uint64{"5xx": 1, "unreachable": 2}},
		}},
		ConnectionsUnknown: 1, LimitsPassed: map[Passed]uint64{{"outside", "headers"}: 3}, ConnectionsRefused: map[Refusal]uint64{{"", "unknown_ca", "gateway"}: 5},
		KeepAlives: 11, Pings: 12, NotSIP: 13, ConnectionsDead: map[string]uint64{"no_pong": 14},
		Setups: map[string]Times{"answered": {3, 4 * time.Second, map[float64]uint64{1: 2}}}, Ringing: Times{1, time.Second, map[float64]uint64{1: 1}},
		ACKsMissing: map[Missing]uint64{{`ac"me`, "ack-contact"}: 30}, Handshakes: map[Handshake]Times{{"client", "refused"}: {1, time.Second, map[float64]uint64{1: 1}}},
		Recording: Recording{31, 32, 33, 34, &History{35, 36, 37, 38, 39, true}},
		Records:   &Records{Waiting: 100, Lost: 1, Failing: true}, Alarms: []string{"records"},
		Shipped: map[string]uint64{"billing": 29}, Accounting: map[string]Accounting{"radius": {30, 31, 32}},
		Events:  Events{Emitted: 21, Readers: 22, Cut: 23, Webhooks: []Webhook{{"crm", 24, 25, 26, 27, 28}}},
		Endings: map[Ending]time.Duration{{"own", "gateway"}: -time.Minute}, Responders: map[string]uint64{"failed": 15},
		ConfigurationLoaded: time.UnixMilli(2500), Reloads: 2, ReloadsRefused: 1, Renewals: 15, RenewalsRefused: 16, ConnectionsFailing: 17,
	}
}

func TestPage(t *testing.T) {
	const want = `sallyport_acks_missing_total{code="ack-contact",peer="ac\"me"} 30
sallyport_alarm{alarm="records"} 1
sallyport_build_info{version="v1"} 1
sallyport_call_ringing_seconds_bucket{le="1"} 1
sallyport_call_ringing_seconds_bucket{le="+Inf"} 1
sallyport_call_ringing_seconds_sum 1
sallyport_call_ringing_seconds_count 1
sallyport_call_setup_seconds_bucket{outcome="answered",le="1"} 2
sallyport_call_setup_seconds_bucket{outcome="answered",le="+Inf"} 3
sallyport_call_setup_seconds_sum{outcome="answered"} 4
sallyport_call_setup_seconds_count{outcome="answered"} 3
sallyport_calls 3
sallyport_calls_by_verdict_total{verdict="hop-by-hop"} 5
sallyport_cdr_shipped_total{shipment="billing"} 29
sallyport_certificate_changes_total{result="refused"} 16
sallyport_certificate_changes_total{result="taken"} 15
sallyport_certificate_expiry_seconds{kind="own",name="gateway"} -60
sallyport_configuration_loaded_time_seconds 2.5
sallyport_configuration_reloads_total{result="refused"} 1
sallyport_configuration_reloads_total{result="taken"} 2
sallyport_connections{peer=""} 1
sallyport_connections{peer="ac\"me"} 2
sallyport_connections_aliased{peer="ac\"me"} 1
sallyport_connections_dead_total{sign="no_pong"} 14
sallyport_connections_failing 17
sallyport_connections_opened_total{peer="ac\"me"} 9
sallyport_connections_refused_total{by="gateway",peer="",reason="unknown_ca"} 5
sallyport_datagrams_not_sip_total 13
sallyport_dns_lookups_total{outcome="cached"} 8
sallyport_draining 1
sallyport_event_readers 22
sallyport_event_readers_cut_total 23
sallyport_events_total 21
sallyport_handshake_records_lost_total 0
sallyport_hep_packets_total{collector="homer",outcome="dropped"} 19
sallyport_history_bytes 36
sallyport_history_dropped_total 38
sallyport_history_events_total 37
sallyport_history_failing 1
sallyport_history_oldest_time_seconds 39
sallyport_history_segments 35
sallyport_keep_alives_received_total 11
sallyport_keep_alives_sent_total 12
sallyport_limits_passed_total{listener="outside",reason="headers"} 3
sallyport_ocsp_lookups_total{outcome="failed"} 15
sallyport_peer_calls{direction="in",peer="ac\"me"} 1
sallyport_peer_calls{direction="out",peer="ac\"me"} 2
sallyport_peer_calls_answered_total{direction="in",peer="ac\"me"} 7
sallyport_peer_calls_answered_total{direction="out",peer="ac\"me"} 16
sallyport_peer_calls_began_total{direction="in",peer="ac\"me"} 10
sallyport_peer_calls_began_total{direction="out",peer="ac\"me"} 20
sallyport_peer_calls_failed_total{class="5xx",direction="out",peer="ac\"me"} 1
sallyport_peer_calls_failed_total{class="busy",direction="in",peer="ac\"me"} 2
sallyport_peer_calls_failed_total{class="unreachable",direction="out",peer="ac\"me"} 2
sallyport_peer_calls_limited_total{direction="in",peer="ac\"me"} 4
sallyport_peer_calls_limited_total{direction="out",peer="ac\"me"} 0
sallyport_peer_calls_refused_total{class="4xx",peer="ac\"me"} 5
sallyport_peer_claims_total{outcome="refused",peer="ac\"me"} 17
sallyport_peer_claims_total{outcome="stripped",peer="ac\"me"} 18
sallyport_peer_kept_connected{peer="ac\"me"} 0
sallyport_peer_large_requests_total{peer="ac\"me",way="refused"} 2
sallyport_peer_large_requests_total{peer="ac\"me",way="tcp"} 3
sallyport_peer_large_requests_total{peer="ac\"me",way="untried"} 1
sallyport_peer_up{peer="ac\"me"} 1
sallyport_radius_requests_total{outcome="again",shipment="radius"} 30
sallyport_radius_requests_total{outcome="forged",shipment="radius"} 32
sallyport_radius_requests_total{outcome="silent",shipment="radius"} 31
sallyport_recorder_dropped_total 34
sallyport_recorder_ring_bytes 31
sallyport_recorder_ring_events 33
sallyport_recorder_ring_limit_bytes 32
sallyport_records_failing 1
sallyport_records_lost_total 1
sallyport_records_waiting_bytes 100
sallyport_relayed_requests_total{method="MESSAGE",outcome="delivered"} 6
sallyport_start_time_seconds 1000
sallyport_subscriptions 4
sallyport_tls_handshake_seconds_bucket{outcome="refused",role="client",le="1"} 1
sallyport_tls_handshake_seconds_bucket{outcome="refused",role="client",le="+Inf"} 1
sallyport_tls_handshake_seconds_sum{outcome="refused",role="client"} 1
sallyport_tls_handshake_seconds_count{outcome="refused",role="client"} 1
sallyport_webhook_attempts_failed_total{webhook="crm"} 28
sallyport_webhook_events_total{outcome="delivered",webhook="crm"} 25
sallyport_webhook_events_total{outcome="gave_up",webhook="crm"} 26
sallyport_webhook_events_total{outcome="lost",webhook="crm"} 27
sallyport_webhook_waiting_events{webhook="crm"} 24
`
	if got := lines(t, full()); got != want {
		t.Errorf("got:\n%s", got)
	}
	if got := lines(t, Sample{}); strings.Contains(got, "records") || strings.Contains(got, "peer_") || strings.Contains(got, "history") {
		t.Errorf("of a gateway without records and peers:\n%s", got)
	}
}

// kinds are all metrics of the gateway: the labels of each by its name.
func kinds(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^(sallyport_\w+?)(?:\{(.*)\})? `).FindAllStringSubmatch(lines(t, full()), -1) {
		var labels []string
		for _, l := range regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`).FindAllStringSubmatch(m[2], -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		all[m[1]] = labels
	}
	return all
}

// The page that describes the API has a line for every metric, with its labels, and for no other.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(sallyport_\\w+)` \\| ([^|]*)\\| (histogram)?").FindAllStringSubmatch(string(page), -1) {
		labels := strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(labels)
		if m[3] == "" {
			told[m[1]] = labels
			continue
		}
		told[m[1]+"_sum"], told[m[1]+"_count"] = labels, labels
		told[m[1]+"_bucket"] = slices.Sorted(slices.Values(append([]string{"le"}, labels...)))
	}
	there := kinds(t)
	for name, labels := range there {
		if got, ok := told[name]; !ok || !slices.Equal(got, labels) {
			t.Errorf("docs/reference/api.md has %s: %v, with the labels %q; want %q", name, ok, got, labels)
		}
	}
	for name := range told {
		if _, ok := there[name]; !ok {
			t.Errorf("docs/reference/api.md names %s, which there is not", name)
		}
	}
}

// What a metric is told of may become a label only if it has few values: names of the configuration, and words of a table.
func TestLabels(t *testing.T) {
	few := strings.Fields("version verdict outcome peer direction class code reason by role le kind name alarm result listener method collector webhook shipment sign way")
	for name, labels := range kinds(t) {
		for _, l := range labels {
			if !slices.Contains(few, l) {
				t.Errorf("%s has the label %s: has it few values?", name, l)
			}
		}
	}
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{-time.Second, time.Millisecond, time.Millisecond + 1, time.Second, time.Hour} {
		h.Observe(d)
	}
	got := h.Times()
	if got.Count != 5 || got.Sum != time.Hour+time.Second+2*time.Millisecond+1 {
		t.Errorf("got %d, %v", got.Count, got.Sum)
	}
	for upto, want := range map[float64]uint64{0.001: 2, 0.0025: 3, 0.5: 3, 1: 4, 180: 4} {
		if got.Upto[upto] != want {
			t.Errorf("up to %v s: got %d, want %d", upto, got.Upto[upto], want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { h.Observe(time.Second) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
