package events

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// receiver is an application that takes events, and the webhooks that post to it.
type receiver struct {
	*testing.T
	*Webhooks
	hub *Hub
	ca  *testca.CA
	net *memnet.Network
	dir string

	mu     sync.Mutex // guards what follows
	got    []string   // "TYPE CALL", of what was taken
	ids    []string
	tries  int
	do     func(w http.ResponseWriter, r *http.Request, e *Event) // nil: 204
	secret string
	alarms []string
	log    strings.Builder
}

const endpoint = "192.0.2.9:443"

// receive runs a test in a bubble.
func receive(t *testing.T, f func(r *receiver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{T: t, ca: testca.New("test CA"), net: memnet.New(memnet.Options{}), dir: t.TempDir(), secret: "correct-horse-battery"}
		r.serve()
		r.hub = NewHub("run1", 0)
		r.Webhooks = r.open(r.hub, r.dir)
		r.Apply([]Endpoint{r.endpoint()})
		f(r)
		r.Close()
	})
}

func (r *receiver) open(hub *Hub, dir string) *Webhooks {
	return NewWebhooks(hub, dir, Options{
		Version: "v1", Dial: r.dial, Log: slog.New(slog.NewTextHandler(r, nil)),
		Raise: func(name, text, remedy string) { r.note("raised " + name + ": " + text) },
		Clear: func(name string) { r.note("cleared " + name) },
	})
}

func (r *receiver) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(b)
}

func (r *receiver) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alarms = append(r.alarms, text)
}

func (r *receiver) endpoint() Endpoint {
	return Endpoint{Name: "crm", URL: "https://crm.example/calls?key=hidden", Secret: []byte(r.secret), Roots: r.ca.Pool(), Timeout: 5 * time.Second, GiveUp: time.Hour, Waiting: 1000, AtOnce: 4}
}

func (r *receiver) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if address != "crm.example:443" && address != "127.0.0.1:80" {
		return nil, fmt.Errorf("the test has no %s", address)
	}
	return r.net.Dial(ctx, netip.MustParseAddrPort("192.0.2.1:0"), netip.MustParseAddrPort(endpoint))
}

// serve takes events until the test ends.
func (r *receiver) serve() {
	l, err := r.net.Listen(r.Context(), netip.MustParseAddrPort(endpoint))
	if err != nil {
		r.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(r.take), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go s.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{r.ca.Leaf("crm.example", testca.DNS("crm.example")).TLS()}}))
	r.Cleanup(func() { s.Close() })
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		r.Errorf("the body is no event: %v\n%s", err, body)
	}
	r.mu.Lock()
	r.tries++
	do, secret := r.do, r.secret
	r.mu.Unlock()
	if got := req.Header.Get("Sallyport-Event-Id"); got != e.ID || req.Header.Get("Sallyport-Event-Type") != string(e.Type) || req.Header.Get("Content-Type") != "application/json" || req.UserAgent() != "sallyport/v1" {
		r.Errorf("headers %v of event %s", req.Header, e.ID)
	}
	if err := verify(req.Header.Get("Sallyport-Signature"), secret, body); err != nil {
		w.WriteHeader(401)
		return
	}
	if do != nil {
		answer := &status{ResponseWriter: w, code: 200}
		do(answer, req, &e)
		if answer.code/100 != 2 {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = append(r.ids, e.ID)
	text := string(e.Type)
	if e.Call.ID != "" {
		text += " " + e.Call.ID
	}
	if e.Lost != nil {
		text += fmt.Sprintf(" %d", e.Lost.Count)
	}
	r.got = append(r.got, text)
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) { s.code = code; s.ResponseWriter.WriteHeader(code) }

func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// verify is what a receiver does, written anew by what the page says.
func verify(header, secret string, body []byte) error {
	at, sum, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	if !ok {
		return fmt.Errorf("bad signature %q", header)
	}
	h := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(h, "%s.%s", at, body)
	if want := hex.EncodeToString(h.Sum(nil)); sum != want || at != fmt.Sprint(time.Now().Unix()) {
		return fmt.Errorf("signature %q at %s, want %s", sum, at, want)
	}
	return nil
}

func (r *receiver) on(do func(w http.ResponseWriter, req *http.Request, e *Event)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.do = do
}

func (r *receiver) emit(call string, types ...Type) {
	for _, t := range types {
		r.hub.Emit(&Event{Type: t, Call: Call{ID: call, From: "office", To: "acme"}})
	}
}

// want compares what was taken so far, and forgets it.
func (r *receiver) want(lines ...string) {
	r.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.got, lines) {
		r.Errorf("got  %q\nwant %q\nlog: %s", r.got, lines, r.log.String())
	}
	r.got = nil
}

func TestWebhookTakesEventsInOrder(t *testing.T) {
	receive(t, func(r *receiver) {
		r.emit("a", CallStarted, CallRinging, CallBusy)
		r.hub.Emit(Turned("acme", false, "it burns"))
		time.Sleep(time.Second)
		synctest.Wait()
		r.mu.Lock()
		slices.Sort(r.got[slices.Index(r.got, "call.busy a"):])
		r.got = slices.DeleteFunc(r.got, func(s string) bool { return s == "peer.down" }) // in a lane of its own
		r.mu.Unlock()
		r.want("call.started a", "call.ringing a", "call.busy a")
		if s := r.Stats()[0]; s.Delivered != 4 || s.Waiting != 0 || s.Failed+s.GaveUp+s.Lost != 0 || s.Error != "" {
			r.Errorf("%+v", s)
		}
	})
}

// One call's event that is not taken holds up that call alone.
func TestWebhookHoldsUpOneCallOnly(t *testing.T) {
	receive(t, func(r *receiver) {
		r.on(func(w http.ResponseWriter, _ *http.Request, e *Event) {
			if e.Call.ID == "bad" && time.Since(e.At) < 20*time.Second {
				w.WriteHeader(500)
			}
		})
		r.emit("bad", CallStarted, CallAnswered, CallEnded)
		for range 20 {
			r.emit("good", CallStarted, CallEnded)
			time.Sleep(500 * time.Millisecond)
		}
		want := slices.Repeat([]string{"call.started good", "call.ended good"}, 20)
		r.want(want...)
		time.Sleep(time.Minute)
		r.want("call.started bad", "call.answered bad", "call.ended bad")
		if s := r.Stats()[0]; s.Failed != 5 { // after 0, 1, 3, 7, 15 s; the one after 31 s is taken
			r.Errorf("%+v", s)
		}
	})
}

// What an endpoint may do instead of taking an event, and that it gets the event later all the same.
func TestHostileEndpoints(t *testing.T) {
	for name, do := range map[string]func(w http.ResponseWriter, r *http.Request, e *Event){
		"it answered 500 Internal Server Error": func(w http.ResponseWriter, _ *http.Request, _ *Event) { w.WriteHeader(500) },
		"it answered 410 Gone":                  func(w http.ResponseWriter, _ *http.Request, _ *Event) { w.WriteHeader(410) },
		"it answered 307: redirects are not followed, so write the new address into url": func(w http.ResponseWriter, _ *http.Request, _ *Event) {
			w.Header().Set("Location", "https://crm.example/other")
			w.WriteHeader(307)
		},
		"no answer within 5s": func(w http.ResponseWriter, r *http.Request, _ *Event) { <-r.Context().Done(); w.WriteHeader(500) },
		"EOF": func(w http.ResponseWriter, r *http.Request, _ *Event) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				c.Close()
			}
			w.(*status).code = 500
		},
		"it answered 502 Bad Gateway": func(w http.ResponseWriter, r *http.Request, _ *Event) {
			w.WriteHeader(502)
			for r.Context().Err() == nil { // an answer without end
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
		"net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 16384 bytes; aborted": func(w http.ResponseWriter, r *http.Request, _ *Event) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
			w.WriteHeader(500)
		},
		"it answered 200 slowly": func(w http.ResponseWriter, r *http.Request, _ *Event) { time.Sleep(4 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			receive(t, func(r *receiver) {
				r.on(do)
				r.emit("a", CallStarted)
				time.Sleep(7 * time.Second)
				synctest.Wait()
				if strings.Contains(name, "slowly") {
					r.want("call.started a")
					return
				}
				r.want()
				if s := r.Stats()[0]; s.Error != name || s.Waiting != 1 || s.Failed == 0 {
					r.Errorf("%+v", s)
				}
				r.mu.Lock()
				if log := r.log.String(); !strings.Contains(log, "webhook did not take an event") || strings.Contains(log, "hidden") || strings.Contains(log, r.secret) {
					r.Errorf("log: %s", log)
				}
				r.mu.Unlock()
				r.on(nil)
				time.Sleep(time.Minute)
				r.want("call.started a")
			})
		})
	}
}

func TestWebhookJudgesTheCertificate(t *testing.T) {
	receive(t, func(r *receiver) {
		e := r.endpoint()
		e.Roots = testca.New("another CA").Pool()
		r.Apply([]Endpoint{e})
		r.emit("a", CallStarted)
		time.Sleep(time.Second / 2)
		r.want()
		if s := r.Stats()[0]; !strings.Contains(s.Error, "certificate signed by unknown authority") {
			r.Errorf("%+v", s)
		}
		e.Roots, e.URL = r.ca.Pool(), "http://127.0.0.1/x" // clear, and there is TLS
		r.Apply([]Endpoint{e})
		time.Sleep(10 * time.Second)
		r.want()
		e.URL = "http://crm.example:443/x" // which the configuration refuses
		r.Apply([]Endpoint{e})
		time.Sleep(10 * time.Second)
		if s := r.Stats()[0]; s.Error != "clear HTTP is for loopback addresses only" {
			r.Errorf("%+v", s)
		}
		r.Apply([]Endpoint{r.endpoint()})
		time.Sleep(10 * time.Second)
		r.want("call.started a")
	})
}

// An endpoint that is down is asked less and less, then once a minute, with an alarm; and gets everything when it is back.
func TestWebhookLetsAnEndpointRest(t *testing.T) {
	receive(t, func(r *receiver) {
		r.on(func(w http.ResponseWriter, _ *http.Request, _ *Event) { w.WriteHeader(503) })
		var want []string
		for i := range 100 {
			r.emit(fmt.Sprintf("c%02d", i), CallStarted)
			want = append(want, fmt.Sprintf("call.started c%02d", i))
			time.Sleep(6 * time.Second)
		}
		synctest.Wait()
		if r.tries > 25 {
			r.Errorf("%d requests in ten minutes", r.tries)
		}
		if s := r.Stats()[0]; !s.Resting || s.Waiting != 100 {
			r.Errorf("%+v", s)
		}
		if len(r.alarms) != 1 || !strings.HasPrefix(r.alarms[0], "raised webhook crm: webhook crm takes no events since 2000-01-01 00:00:00 UTC: it answered 503 Service Unavailable") {
			r.Errorf("alarms %q", r.alarms)
		}
		r.on(nil)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		slices.Sort(r.got)
		r.want(want...)
		if len(r.alarms) != 2 || r.alarms[1] != "cleared webhook crm" {
			r.Errorf("alarms %q", r.alarms)
		}
	})
}

// While there is nothing but an event that is never taken, others still find their way.
func TestWebhookProbesWithWhatIsDueFirst(t *testing.T) {
	receive(t, func(r *receiver) {
		r.on(func(w http.ResponseWriter, _ *http.Request, e *Event) {
			if e.Call.ID == "bad" {
				w.WriteHeader(400)
			}
		})
		r.emit("bad", CallStarted)
		time.Sleep(10 * time.Minute)
		if s := r.Stats()[0]; s.Failed < restAfter {
			r.Fatalf("%+v", s)
		}
		r.emit("good", CallStarted)
		time.Sleep(longestRest + time.Second)
		r.want("call.started good")
	})
}

func TestWebhookWaitsAsLongAsItIsAsked(t *testing.T) {
	receive(t, func(r *receiver) {
		r.on(func(w http.ResponseWriter, _ *http.Request, e *Event) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(429)
		})
		r.emit("a", CallStarted)
		time.Sleep(time.Second)
		r.on(nil)
		time.Sleep(118 * time.Second)
		r.want()
		time.Sleep(2 * time.Second)
		r.want("call.started a")
	})
}

func TestWebhookGivesUpWhatIsTooOld(t *testing.T) {
	receive(t, func(r *receiver) {
		r.on(func(w http.ResponseWriter, _ *http.Request, _ *Event) { w.WriteHeader(503) })
		r.emit("a", CallStarted, CallEnded)
		time.Sleep(30 * time.Minute)
		r.emit("b", CallStarted)
		time.Sleep(45 * time.Minute)
		r.on(nil)
		time.Sleep(10 * time.Minute)
		r.want("call.started b")
		if s := r.Stats()[0]; s.GaveUp != 2 || s.Waiting != 0 || !strings.Contains(r.log.String(), "given up") {
			r.Errorf("%+v\n%s", s, r.log.String())
		}
	})
}

func TestWebhookWithoutRoom(t *testing.T) {
	receive(t, func(r *receiver) {
		e := r.endpoint()
		e.Waiting = 3
		r.Apply([]Endpoint{e})
		r.on(func(w http.ResponseWriter, _ *http.Request, _ *Event) { w.WriteHeader(503) })
		r.emit("a", CallStarted, CallRinging, CallAnswered, CallEnded, CallStarted)
		time.Sleep(time.Second / 2)
		r.on(nil)
		time.Sleep(time.Minute)
		r.want("call.started a", "call.ringing a", "call.answered a")
		r.emit("b", CallStarted)
		time.Sleep(time.Second)
		synctest.Wait()
		slices.Sort(r.got)
		r.want("call.started b", "events.lost 2")
		if s := r.Stats()[0]; s.Lost != 2 || !slices.Contains(r.ids, "run1-5") {
			r.Errorf("%+v, IDs %q", s, r.ids)
		}
	})
}

// What was accepted and not taken is posted by the next run: after an orderly end, and after none.
func TestWebhookSurvivesTheGateway(t *testing.T) {
	for _, orderly := range []bool{true, false} {
		t.Run(fmt.Sprintf("orderly %v", orderly), func(t *testing.T) {
			receive(t, func(r *receiver) {
				r.on(func(w http.ResponseWriter, _ *http.Request, e *Event) {
					if e.Type != CallStarted {
						w.WriteHeader(503)
					}
				})
				r.emit("a", CallStarted, CallRinging, CallAnswered)
				r.emit("b", CallStarted, CallBusy)
				time.Sleep(time.Second)
				synctest.Wait()
				slices.Sort(r.got)
				r.want("call.started a", "call.started b")
				dir := r.dir
				if orderly {
					r.emit("a", CallEnded) // which nobody has taken from the hub yet
					r.Close()
				} else { // what the disk has at this moment
					dir = t.TempDir()
					b, err := os.ReadFile(filepath.Join(r.dir, "webhook-crm.journal"))
					if err != nil {
						t.Fatal(err)
					}
					b = append(b, `{"lane":"a","event":{"id":"run1-99","ty`...) // and what was just being written
					if err := os.WriteFile(filepath.Join(dir, "webhook-crm.journal"), b, 0o600); err != nil {
						t.Fatal(err)
					}
					r.Close()
				}
				r.on(nil)
				r.got, r.ids = nil, nil
				next := r.open(NewHub("run2", 0), dir)
				next.Apply([]Endpoint{r.endpoint()})
				time.Sleep(time.Minute)
				synctest.Wait()
				var a []string
				for i, text := range r.got {
					if strings.HasSuffix(text, " a") && text != "call.started a" {
						a = append(a, text)
					}
					if !strings.HasPrefix(r.ids[i], "run1-") {
						t.Errorf("event %s has ID %s", text, r.ids[i])
					}
				}
				want := []string{"call.ringing a", "call.answered a"}
				if orderly {
					want = append(want, "call.ended a")
				}
				if !slices.Equal(a, want) || !slices.Contains(r.got, "call.busy b") {
					t.Errorf("got %q, of a want %q", r.got, want)
				}
				if orderly && slices.ContainsFunc(r.got, func(s string) bool { return strings.HasPrefix(s, "call.started") }) {
					t.Errorf("what was taken came again: %q", r.got)
				}
				next.Close()
				if b, err := os.ReadFile(filepath.Join(dir, "webhook-crm.journal")); err != nil {
					t.Error(err)
				} else if left, _ := readJournal(strings.NewReader(string(b))); len(left) != 0 {
					t.Errorf("%d events are left", len(left))
				}
			})
		})
	}
}

// A reload changes where, how and by which secret; what waits is posted by the new words. An endpoint that is gone takes its file along.
func TestWebhookReload(t *testing.T) {
	receive(t, func(r *receiver) {
		r.on(func(w http.ResponseWriter, _ *http.Request, _ *Event) { w.WriteHeader(503) })
		r.emit("a", CallStarted, CallEnded)
		time.Sleep(time.Second)
		r.on(nil)
		r.mu.Lock()
		r.secret = "another-secret-of-ours"
		r.mu.Unlock()
		time.Sleep(10 * time.Second)
		r.want() // signed with the old one
		other := r.endpoint()
		other.Name, other.Want = "other", Selection{Types: []string{"peer.*"}}
		more := r.endpoint()
		more.AtOnce, more.Want = 8, Selection{Types: []string{"call.*"}}
		r.Apply([]Endpoint{more, other})
		time.Sleep(30 * time.Second)
		r.want("call.started a", "call.ended a")
		r.hub.Emit(Turned("acme", true, "it answered"))
		time.Sleep(time.Second)
		r.want("peer.up") // the other's, and it was not told what was before
		r.Apply([]Endpoint{more})
		if _, err := os.Stat(filepath.Join(r.dir, "webhook-other.journal")); err == nil {
			r.Error("the file is still there")
		}
		os.WriteFile(filepath.Join(r.dir, "webhook-old.journal"), nil, 0o600)
		r.Forget()
		if names, _ := filepath.Glob(filepath.Join(r.dir, "*")); len(names) != 1 {
			r.Errorf("files %q", names)
		}
	})
}

// Where the disk takes nothing, events are posted all the same, and an alarm says that a crash would lose them.
func TestWebhookWithoutADisk(t *testing.T) {
	receive(t, func(r *receiver) {
		r.Close()
		gone := filepath.Join(r.dir, "gone")
		hub := NewHub("run2", 0)
		w := r.open(hub, gone)
		w.Apply([]Endpoint{r.endpoint()})
		hub.Emit(&Event{Type: CallStarted})
		time.Sleep(time.Second)
		r.want("call.started")
		if len(r.alarms) != 1 || !strings.HasPrefix(r.alarms[0], "raised webhook crm journal: events for webhook crm are in memory only: ") {
			r.Errorf("alarms %q", r.alarms)
		}
		if err := os.Mkdir(gone, 0o700); err != nil {
			r.Fatal(err)
		}
		time.Sleep(diskAgain)
		hub.Emit(&Event{Type: CallStarted})
		time.Sleep(time.Second)
		r.want("call.started")
		if len(r.alarms) != 2 || r.alarms[1] != "cleared webhook crm journal" {
			r.Errorf("alarms %q", r.alarms)
		}
		w.Close()
	})
}

// The file does not grow with what was taken.
func TestJournalStaysSmall(t *testing.T) {
	receive(t, func(r *receiver) {
		long := strings.Repeat("x", 10_000)
		for i := range 2000 {
			r.hub.Emit(&Event{Type: CallStarted, Why: long, Call: Call{ID: fmt.Sprint(i % 10)}})
			if i%50 == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Second)
		info, err := os.Stat(filepath.Join(r.dir, "webhook-crm.journal"))
		if err != nil || info.Size() > 2*compactAt {
			r.Errorf("%v, %v", info, err)
		}
		if s := r.Stats()[0]; s.Delivered != 2000 {
			r.Errorf("%+v", s)
		}
	})
}

// BenchmarkJournal is what it costs to accept 256 events, which is what comes of 50 calls.
func BenchmarkJournal(b *testing.B) {
	j := &journal{path: filepath.Join(b.TempDir(), "journal")}
	if err := j.rewrite(nil); err != nil {
		b.Fatal(err)
	}
	e := &Event{Version: 1, ID: "run1-1234567", Type: CallBusy, At: time.Now(), Call: Call{ID: "09m7q0v5k0001", Number: 41, From: "office", To: "acme", Caller: "anna", Called: "+4930123", CallID: "5e1f@192.0.2.7"}}
	events := make([]Event, 256)
	for i := range events {
		events[i] = *e
	}
	for b.Loop() {
		var items []*item
		for i := range events {
			items = append(items, newItem(&events[i]))
		}
		if err := j.add(items); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/event")
	j.close()
}
