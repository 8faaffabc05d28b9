package gateway

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/events"
)

// Alarm is something that a person should see to. It lasts until it is over.
type Alarm struct {
	Name     string    // what it is about, for example "records"; one at a time has it
	Since    time.Time // when it was raised
	Text     string    // what is wrong, in plain words
	Remedy   string    // what to do
	Severity Severity
}

// Severity says how urgent an alarm is.
type Severity string

// Something that will have to be done in the next weeks, something that will break
// in days, and something that is broken or about to be.
const (
	Notice   Severity = "notice"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// level is that of a line in the log.
func (s Severity) level() slog.Level {
	if s == Critical {
		return slog.LevelError
	}
	return slog.LevelWarn
}

// alarms are those that last. Safe for any goroutine.
type alarms struct {
	log  *slog.Logger
	tell func(*events.Event) // applications

	mu    sync.Mutex
	named map[string]Alarm // guarded by mu
}

func newAlarms(log *slog.Logger, tell func(*events.Event)) *alarms {
	return &alarms{log: log, tell: tell, named: make(map[string]Alarm)}
}

// raise raises a critical alarm, or gives one that lasts other words.
func (a *alarms) raise(name, text, remedy string) { a.raiseAs(Critical, name, text, remedy) }

// raiseAs is raise for another severity. The log has the alarm when it is raised,
// and again when its severity changes.
func (a *alarms) raiseAs(severity Severity, name, text, remedy string) {
	a.mu.Lock()
	old, lasts := a.named[name]
	alarm := Alarm{name, old.Since, text, remedy, severity}
	if !lasts {
		alarm.Since = time.Now()
	}
	a.named[name] = alarm
	a.mu.Unlock()
	if !lasts || old.Severity != severity {
		a.log.Log(context.Background(), severity.level(), "alarm", "alarm", name, "severity", severity, "cause", text, "remedy", remedy)
		a.tell(&events.Event{Type: events.AlarmRaised, Alarm: &events.Alarm{Name: name, Severity: string(severity), Text: text, Remedy: remedy}})
	}
}

// clear ends an alarm, if there is one of that name.
func (a *alarms) clear(name string) {
	a.mu.Lock()
	_, lasted := a.named[name]
	delete(a.named, name)
	a.mu.Unlock()
	if lasted {
		a.log.Info("alarm is over", "alarm", name)
		a.tell(&events.Event{Type: events.AlarmCleared, Alarm: &events.Alarm{Name: name}})
	}
}

// all returns the alarms, the oldest first.
func (a *alarms) all() []Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]Alarm, 0, len(a.named))
	for _, alarm := range a.named {
		list = append(list, alarm)
	}
	slices.SortFunc(list, func(x, y Alarm) int {
		return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.Name, y.Name))
	})
	return list
}

// Alarms returns what a person should see to, the oldest first: what was raised,
// and peers that do not answer.
func (g *Gateway) Alarms() []Alarm {
	list := g.alarms.all()
	for _, p := range g.Peers() {
		d := p.State.Down()
		if d == nil {
			continue
		}
		list = append(list, Alarm{"peer " + p.Name, d.Since, "peer " + p.Name + " is down: " + d.Why,
			"see whether it runs and can be reached; a call tries it again when others have failed, or after " + d.Until.UTC().Format(time.TimeOnly) + " UTC", Critical})
	}
	slices.SortStableFunc(list, func(x, y Alarm) int { return x.Since.Compare(y.Since) })
	return list
}
