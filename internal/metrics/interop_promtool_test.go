//go:build interop

package metrics

import (
	"net/http/httptest"
	"os/exec"
	"testing"
)

// promtool is of Debian's package prometheus.
func promtool(t *testing.T, stdin *httptest.ResponseRecorder, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Dir = "../../contrib/prometheus"
	if stdin != nil {
		cmd.Stdin = stdin.Body
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// Prometheus itself reads the alerts, plays their tests, and finds nothing to say about the page.
func TestPromtool(t *testing.T) {
	promtool(t, nil, "check", "rules", "alerts.yml")
	promtool(t, nil, "test", "rules", "alerts_test.yml")
	w := httptest.NewRecorder()
	Handler(full).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	promtool(t, w, "check", "metrics")
}
