package metrics

import (
	"net/http/httptest"
	"os"
	"regexp"
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
			In: Load{Calls: 1, Began: 10, Answered: 7, Failed: 2, Limited: 4}, Out: Load{Calls: 2, Began: 20, Answered: 16, Failed: 3},
		}},
		ConnectionsUnknown: 1, LimitsPassed: map[Passed]uint64{{"outside", "headers"}: 3}, ConnectionsRefused: map[Refusal]uint64{{"", "unknown_ca", "gateway"}: 5},
		KeepAlives: 11, Pings: 12, NotSIP: 13, ConnectionsDead: map[string]uint64{"no_pong": 14},
		Records: &Records{Waiting: 100, Lost: 1, Failing: true}, Alarms: []string{"records"},
		Shipped: map[string]uint64{"billing": 29},
		Events:  Events{Emitted: 21, Readers: 22, Cut: 23, Webhooks: []Webhook{{"crm", 24, 25, 26, 27, 28}}},
		Endings: map[Ending]time.Duration{{"own", "gateway"}: -time.Minute}, Responders: map[string]uint64{"failed": 15},
		ConfigurationLoaded: time.UnixMilli(2500), Reloads: 2, ReloadsRefused: 1, Renewals: 15, RenewalsRefused: 16, ConnectionsFailing: 17,
	}
}

func TestPage(t *testing.T) {
	const want = `sallyport_alarm{alarm="records"} 1
sallyport_build_info{version="v1"} 1
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
sallyport_peer_calls_failed_total{direction="in",peer="ac\"me"} 2
sallyport_peer_calls_failed_total{direction="out",peer="ac\"me"} 3
sallyport_peer_calls_limited_total{direction="in",peer="ac\"me"} 4
sallyport_peer_calls_limited_total{direction="out",peer="ac\"me"} 0
sallyport_peer_claims_total{outcome="refused",peer="ac\"me"} 17
sallyport_peer_claims_total{outcome="stripped",peer="ac\"me"} 18
sallyport_peer_kept_connected{peer="ac\"me"} 0
sallyport_peer_large_requests_total{peer="ac\"me",way="refused"} 2
sallyport_peer_large_requests_total{peer="ac\"me",way="tcp"} 3
sallyport_peer_large_requests_total{peer="ac\"me",way="untried"} 1
sallyport_peer_up{peer="ac\"me"} 1
sallyport_records_failing 1
sallyport_records_lost_total 1
sallyport_records_waiting_bytes 100
sallyport_relayed_requests_total{method="MESSAGE",outcome="delivered"} 6
sallyport_start_time_seconds 1000
sallyport_subscriptions 4
sallyport_webhook_attempts_failed_total{webhook="crm"} 28
sallyport_webhook_events_total{outcome="delivered",webhook="crm"} 25
sallyport_webhook_events_total{outcome="gave_up",webhook="crm"} 26
sallyport_webhook_events_total{outcome="lost",webhook="crm"} 27
sallyport_webhook_waiting_events{webhook="crm"} 24
`
	if got := lines(t, full()); got != want {
		t.Errorf("got:\n%s", got)
	}
	if got := lines(t, Sample{}); strings.Contains(got, "records") || strings.Contains(got, "peer_") {
		t.Errorf("of a gateway without records and peers:\n%s", got)
	}
}

// The page that describes the API names every metric.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^(sallyport_\w+)`).FindAllString(lines(t, full()), -1)
	for _, name := range names {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/reference/api.md does not name %s", name)
		}
	}
	for _, m := range regexp.MustCompile("`(sallyport_\\w+)`").FindAllStringSubmatch(string(page), -1) {
		if !strings.Contains(strings.Join(names, " ")+" ", m[1]+" ") {
			t.Errorf("docs/reference/api.md names %s, which there is not", m[1])
		}
	}
}
