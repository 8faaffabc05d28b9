package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

const (
	firstRetry   = time.Second
	longRetry    = 15 * time.Second
	answerWait   = 20 * time.Second // for the answer to a question
	mostAnswer   = 256 << 20        // bytes of one answer
	secretsEvery = 10 * time.Second // is asked whether secrets are kept
	olderAtOnce  = 500
	shakesShown  = 500
)

// A gateway is a source that asks the API of a running one. It has two goroutines: run's own, which follows the stream of what is
// watched, and one for questions, one after the other.
type gateway struct {
	*mailbox
	client *http.Client
	base   string // such as https://gw.example:8443
	token  string // empty: none is needed

	// How far the stream has been read, for Last-Event-ID, and with which filter. Owned by the goroutine that follows it; there is one
	// at a time.
	last       string
	lastFilter string
}

// Gateway returns a source that asks the API at base, with a token unless that is empty.
func Gateway(client *http.Client, base, token string) Source {
	return &gateway{mailbox: newMailbox(), client: client, base: strings.TrimRight(base, "/"), token: token}
}

// run follows and answers until ctx ends.
func (g *gateway) run(ctx context.Context, tell func(tea.Msg)) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		look := time.NewTimer(0)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
				if msg := g.secrets(ctx); msg != nil {
					tell(msg)
				}
				look.Reset(secretsEvery)
			case q := <-g.questions:
				if msg := g.answer(ctx, q); msg != nil {
					tell(msg)
				}
			}
		}
	})
	stop := func() {}
	var following sync.WaitGroup
	for {
		select {
		case <-ctx.Done():
			stop()
			following.Wait()
			return
		case <-g.news:
			stop()
			following.Wait()
			var now context.Context
			now, stop = context.WithCancel(ctx)
			following.Go(func() { g.follow(now, g.watches(), tell) })
		}
	}
}

// secrets asks whether TLS secrets are kept for a peer, which is an alarm of the gateway; nil when nobody answers.
func (g *gateway) secrets(ctx context.Context) tea.Msg {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	var doc api.Status
	if g.get(ctx, "/api/v1/status", nil, &doc) != nil {
		return nil
	}
	var texts []string
	for _, a := range doc.Alarms {
		if strings.HasPrefix(a.Name, "keys ") {
			texts = append(texts, a.Text)
		}
	}
	return secretsMsg{strings.Join(texts, "; ")}
}

// follow reads the stream until ctx ends, and begins again when it breaks off.
func (g *gateway) follow(ctx context.Context, w watched, tell func(tea.Msg)) {
	if w.filter != g.lastFilter {
		g.last, g.lastFilter = "", w.filter
	}
	retry := firstRetry
	for {
		began, err := g.stream(ctx, w, tell)
		if ctx.Err() != nil {
			return
		}
		var answer *answerError
		if errors.As(err, &answer) && answer.status == http.StatusNotFound && w.flow != "" {
			tell(flowMsg{id: w.flow, err: errNoFlow})
			w.flow = "" // the list goes on without it
			continue
		}
		if began {
			retry = firstRetry
		}
		tell(linkMsg{err: err, again: retry})
		select {
		case <-ctx.Done():
			return
		case <-time.After(retry):
		}
		retry = min(2*retry, longRetry)
	}
}

// stream reads one stream until it ends. began says that it has.
func (g *gateway) stream(ctx context.Context, w watched, tell func(tea.Msg)) (began bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := g.request(ctx, "/api/v1/stream", url.Values{"filter": {w.filter}, "flow": {w.flow}})
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if g.last != "" {
		req.Header.Set("Last-Event-ID", g.last)
	}
	silence := time.AfterFunc(longestSilence, func() { cancel(errSilence) })
	defer silence.Stop()
	answer, err := g.do(req)
	if err != nil {
		return false, cause(ctx, err)
	}
	defer answer.Body.Close()
	tell(linkMsg{})
	reset := false
	err = events(answer.Body, func() { silence.Reset(longestSilence) }, func(e event) error {
		if e.id != "" {
			g.last = e.id
		}
		msg, err := g.message(e, w, &reset)
		if msg != nil {
			tell(msg)
		}
		return err
	})
	return true, cause(ctx, err)
}

// cause is why a context was cancelled when that is why something failed.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); errors.Is(why, errSilence) {
		return why
	}
	return err
}

// message is what one event of the stream tells; nil: nothing.
func (g *gateway) message(e event, w watched, reset *bool) (tea.Msg, error) {
	switch e.name {
	case "reset":
		*reset = true
	case "flows":
		var doc api.FlowChanges
		if err := json.Unmarshal(e.data, &doc); err != nil {
			return nil, fmt.Errorf("the gateway tells of calls in a form that this program does not know: %w", err)
		}
		msg := flowsMsg{filter: w.filter, reset: *reset, changed: doc.Changed, gone: doc.Gone}
		*reset = false
		return msg, nil
	case "flow":
		return g.flowOf(w.flow, e.data), nil
	case "status":
		msg := statusMsg{at: time.Now()}
		if err := json.Unmarshal(e.data, &msg.status); err != nil {
			return nil, fmt.Errorf("the gateway tells its state in a form that this program does not know: %w", err)
		}
		return msg, nil
	}
	return nil, nil // of a newer gateway
}

// flowOf reads the one flow of a document.
func (g *gateway) flowOf(id string, doc []byte) flowMsg {
	flows, err := export.Decode(strings.NewReader(string(doc)))
	if err == nil && len(flows) == 0 {
		err = errNoFlow
	}
	if err != nil {
		return flowMsg{id: id, err: err}
	}
	return flowMsg{id: id, flow: flows[0]}
}

// answer answers a question.
func (g *gateway) answer(ctx context.Context, q any) tea.Msg {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	switch q := q.(type) {
	case askOlder:
		var doc api.FlowList
		err := g.get(ctx, "/api/v1/flows", url.Values{"filter": {q.filter}, "limit": {strconv.Itoa(olderAtOnce)}, "before": {q.before}}, &doc)
		return olderMsg{filter: q.filter, flows: doc.Flows, next: doc.Next, err: err}
	case askConnections:
		return g.connections(ctx)
	case askFindings:
		var msg findingsMsg
		for _, id := range q.flows {
			b, err := g.bytes(ctx, "/api/v1/flows/"+url.PathEscape(id), nil)
			if err != nil {
				msg.err = err
				break
			}
			if one := g.flowOf(id, b); one.err == nil {
				msg.flows = append(msg.flows, one.flow)
			}
		}
		return msg
	case askExport:
		b, err := g.bytes(ctx, "/api/v1/flows/"+url.PathEscape(q.flow)+"/export", url.Values{"format": {q.format}})
		if err != nil {
			return exportedMsg{path: q.path, err: err}
		}
		return writeNew(q.path, b)
	}
	return nil
}

func (g *gateway) connections(ctx context.Context) tea.Msg {
	var live api.ConnectionList
	var ends api.Endings
	var shakes api.Handshakes
	msg := connectionsMsg{at: time.Now(), err: errors.Join(
		g.get(ctx, "/api/v1/connections", nil, &live),
		g.get(ctx, "/api/v1/certificates", nil, &ends),
		g.get(ctx, "/api/v1/handshakes", url.Values{"limit": {strconv.Itoa(shakesShown)}}, &shakes))}
	msg.connections, msg.certificates, msg.handshakes = live.Connections, ends.Certificates, []*callflow.Handshake(shakes.Handshakes)
	return msg
}

// get reads one document.
func (g *gateway) get(ctx context.Context, path string, query url.Values, doc any) error {
	b, err := g.bytes(ctx, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, doc); err != nil {
		return fmt.Errorf("the answer of the gateway cannot be read: %w", err)
	}
	return nil
}

func (g *gateway) bytes(ctx context.Context, path string, query url.Values) ([]byte, error) {
	req, err := g.request(ctx, path, query)
	if err != nil {
		return nil, err
	}
	answer, err := g.do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, mostAnswer+1))
	if err == nil && len(b) > mostAnswer {
		err = fmt.Errorf("the answer of the gateway has more than %d MiB", mostAnswer>>20)
	}
	return b, err
}

func (g *gateway) request(ctx context.Context, path string, query url.Values) (*http.Request, error) {
	for name, values := range query {
		if values[0] == "" {
			query.Del(name)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.base+path, nil)
	if err == nil && g.token != "" {
		req.Header.Set("Authorization", "Bearer "+g.token)
	}
	return req, err
}

// An answerError is an answer that is no document.
type answerError struct {
	status int
	text   string
}

func (e *answerError) Error() string {
	if e.status == http.StatusUnauthorized {
		return "the gateway does not take this token: --token-file has to name the file of its admin.token_file"
	}
	return "the gateway answers " + e.text
}

// do puts a request. An answer other than 200 is an error with the gateway's own sentence.
func (g *gateway) do(req *http.Request) (*http.Response, error) {
	answer, err := g.client.Do(req)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the address, which the user knows
	}
	if err != nil || answer.StatusCode == http.StatusOK {
		return answer, err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n") // below it may stand where in a filter the error is
	return nil, &answerError{answer.StatusCode, answer.Status + ": " + line}
}

// Reach asks once, and says why nobody can be asked.
func Reach(ctx context.Context, client *http.Client, base, token string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	g := Gateway(client, base, token).(*gateway)
	if _, err := g.bytes(ctx, "/api/v1/status", nil); err != nil {
		return fmt.Errorf("%s: %w", base, err)
	}
	return nil
}
