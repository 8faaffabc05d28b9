package gateway

import (
	"github.com/sallyport-sip/sallyport/internal/events"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

// A clock that is before this program was made is an alarm until it is set.
func TestAlarmOfAWrongClock(t *testing.T) {
	t.Parallel()
	g := &Gateway{alarms: newAlarms(slog.New(slog.NewTextHandler(io.Discard, nil)), func(*events.Event) {})}
	built := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(now time.Time) []Alarm {
		g.lookAtClock(trust.ClockDoubt(now, built, nil))
		return g.alarms.all()
	}
	if all := at(built.Add(time.Hour)); len(all) != 0 {
		t.Errorf("a good clock: %v", all)
	}
	all := at(time.Unix(0, 0))
	if len(all) != 1 || all[0].Name != "clock" || !strings.Contains(all[0].Text, "here it is 1970-01-01 00:00 UTC, and this program was made only on 2026-03-01") ||
		all[0].Remedy == "" || all[0].Severity != Critical {
		t.Errorf("a clock that stands at its beginning: %+v", all)
	}
	if all := at(built.Add(time.Hour)); len(all) != 0 {
		t.Errorf("it was set: %v", all)
	}
}
