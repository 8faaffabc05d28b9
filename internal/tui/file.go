package tui

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// A file is a source of flows that were read before. They do not change.
type file struct {
	*mailbox
	flows map[string]*callflow.Flow
	lines []callflow.Summary
}

// File returns a source with these flows.
func File(flows []*callflow.Flow) Source {
	f := &file{mailbox: newMailbox(), flows: map[string]*callflow.Flow{}}
	for _, flow := range flows {
		f.flows[flow.ID] = flow
		line := callflow.Summarize(flow)
		line.Live = false
		f.lines = append(f.lines, line)
	}
	return f
}

// run answers until ctx ends.
func (f *file) run(ctx context.Context, tell func(tea.Msg)) {
	var now watched
	for first := true; ; {
		select {
		case <-ctx.Done():
			return
		case q := <-f.questions:
			tell(f.answer(q))
		case <-f.news:
			w := f.watches()
			if first || w.filter != now.filter {
				tell(f.list(w.filter))
			}
			if w.flow != "" && w.flow != now.flow {
				tell(f.one(w.flow))
			}
			now, first = w, false
		}
	}
}

// list are the flows that fit a filter, which has been checked.
func (f *file) list(filter string) tea.Msg {
	fits, err := parseFilter(filter, time.Now())
	msg := flowsMsg{filter: filter, reset: true}
	for i := range f.lines {
		if err == nil && fits.Flow(f.flows[f.lines[i].ID]) {
			msg.changed = append(msg.changed, f.lines[i])
		}
	}
	return msg
}

func (f *file) one(id string) tea.Msg {
	if flow := f.flows[id]; flow != nil {
		return flowMsg{id: id, flow: flow}
	}
	return flowMsg{id: id, err: errNoFlow}
}

func (f *file) answer(q any) tea.Msg {
	switch q := q.(type) {
	case askFindings:
		var msg findingsMsg
		for _, id := range q.flows {
			msg.flows = append(msg.flows, f.flows[id])
		}
		return msg
	case askExport:
		flow := f.flows[q.flow]
		if flow == nil {
			return exportedMsg{path: q.path, err: errNoFlow}
		}
		format, err := export.Lookup(q.format)
		if err != nil {
			return exportedMsg{path: q.path, err: err}
		}
		var text bytes.Buffer
		if err := format.Write(&text, []*callflow.Flow{flow}, export.Options{}); err != nil {
			return exportedMsg{path: q.path, err: err}
		}
		return writeNew(q.path, text.Bytes())
	}
	return nil
}

// writeNew writes a file for this user alone; one that is there is left as it is.
func writeNew(path string, b []byte) exportedMsg {
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if os.IsExist(err) {
		return exportedMsg{path: path, err: fmt.Errorf("%s is there already: give another name", path)}
	}
	if err != nil {
		return exportedMsg{path: path, err: err}
	}
	_, err = w.Write(b)
	if closing := w.Close(); err == nil {
		err = closing
	}
	return exportedMsg{path: path, size: int64(len(b)), err: err}
}
