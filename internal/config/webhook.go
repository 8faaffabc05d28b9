package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"time"
)

// Webhook is an application that is called when something happens.
type Webhook struct {
	Name string
	Place

	// Where each event is posted. `https`, or `http` on a loopback address. No
	// redirect is followed.
	URL string `yaml:"url" need:"required" form:"URL"`

	// The file with the secret by which each request is signed, relative to the
	// file: one line of at least 16 printable characters, which other users cannot
	// read.
	SecretFile string `yaml:"secret_file" need:"required" form:"file name"`

	// Which events: types, or the beginning of some, such as `call.*`. Default: all.
	Events []string `yaml:"events" form:"list of types of events"`

	// Only events of these peers, and of calls from them or to them. Default: all.
	Peers []string `yaml:"peers" form:"list of names of peers"`

	// By whom the certificate of the endpoint may be signed. Default: the system's
	// CAs.
	Trust []string `yaml:"trust" form:"list of names of trust sets"`

	// How long one request may take, to the end of the answer. Default: 10s.
	Timeout Duration `yaml:"timeout" form:"duration"`

	// For how long an event is tried again and again. One that is older is given up,
	// counted, and told in the log. Default: 1d.
	GiveUp Duration `yaml:"give_up" form:"duration"`

	// How many events may wait for the endpoint, in memory and in the data
	// directory. Further ones are lost, counted, and told in an `events.lost`.
	// Default: 50000.
	Waiting Count `yaml:"waiting" form:"number"`

	// How many requests may be under way at once. Those of one call never are.
	// Default: 8.
	AtOnce Count `yaml:"at_once" form:"number"`
}

const (
	maxWebhooks       = 16
	maxWebhookWaiting = 1_000_000
	maxWebhookAtOnce  = 64
	longestWebhook    = time.Minute
)

func (w *Webhook) complete() {
	if !w.Has("timeout") && w.Timeout.Duration == 0 {
		w.Timeout.Duration = 10 * time.Second
	}
	if !w.Has("give_up") && w.GiveUp.Duration == 0 {
		w.GiveUp.Duration = 24 * time.Hour
	}
	if w.Waiting == 0 {
		w.Waiting = 50_000
	}
	if w.AtOnce == 0 {
		w.AtOnce = 8
	}
}

func checkWebhooks(c *Config, r *report) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		if i == maxWebhooks {
			r.add(w.Pos, fmt.Sprintf("webhooks: more than %d", maxWebhooks), "each has a queue and connections of its own", "let one program take the events and pass them on")
			return
		}
		checkWebhook(c, r, w)
	}
}

func checkWebhook(c *Config, r *report, w *Webhook) {
	label := fmt.Sprintf("webhook %q", w.Name)
	if w.URL == "" && w.missing("url") {
		r.add(w.Pos, label+`: "url" is missing`, "nobody would be called", `for instance url: "https://crm.example.com/calls"`)
	} else if why := BadEndpoint(w.URL); w.URL != "" && why != "" {
		r.add(w.At("url"), label+": bad url", why, `write it as "https://crm.example.com/calls"`)
	}
	if w.SecretFile == "" && w.missing("secret_file") {
		r.add(w.Pos, label+`: "secret_file" is missing`, "the endpoint could not know who calls it", "write a secret into a file: openssl rand -hex 32")
	}
	for i, name := range w.Peers {
		checkName(r, label, "peer", w.AtItem("peers", i), name, c.Peers)
	}
	for i, name := range w.Trust {
		checkName(r, label, "trust", w.AtItem("trust", i), name, c.Trust)
	}
	checkTwice(r, label, "peers", w.Place, w.Peers)
	checkTwice(r, label, "trust", w.Place, w.Trust)
	checkTwice(r, label, "events", w.Place, w.Events)
	if w.Has("timeout") && !w.Broken("timeout") && (w.Timeout.Duration <= 0 || w.Timeout.Duration > longestWebhook) {
		r.add(w.At("timeout"), fmt.Sprintf("%s: timeout is %s", label, w.Timeout), "a request needs some time, and the next event of the call waits for it", "write a time up to "+Duration{longestWebhook}.String())
	}
	if w.Has("give_up") && !w.Broken("give_up") && w.GiveUp.Duration <= 0 {
		r.add(w.At("give_up"), label+": give_up is 0", "every event would be too old at once", "write a time such as 1d")
	}
	if w.Waiting > maxWebhookWaiting {
		r.add(w.At("waiting"), fmt.Sprintf("%s: waiting is %d", label, w.Waiting), "they are held in memory too", fmt.Sprintf("write a number up to %d", maxWebhookWaiting))
	}
	if w.AtOnce > maxWebhookAtOnce {
		r.add(w.At("at_once"), fmt.Sprintf("%s: at_once is %d", label, w.AtOnce), "it would be a flood", fmt.Sprintf("write a number up to %d", maxWebhookAtOnce))
	}
}

// BadEndpoint says what keeps a URL from being posted to; empty: nothing. It does not repeat the URL, in which there may be a
// secret.
func BadEndpoint(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return "it is no URL with a host"
	case u.User != nil:
		return "it has a user, and the file may be read by others"
	case u.Fragment != "":
		return "it has a fragment, which is not sent"
	case u.Scheme == "https":
		return ""
	case u.Scheme != "http":
		return "it is neither https nor http"
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err != nil || !addr.Unmap().IsLoopback() {
		return "clear http is for loopback addresses such as 127.0.0.1 only: whoever is on the way would read who calls whom"
	}
	return ""
}
