// Package tui is the terminal page, "sallyport watch": the list of calls, the ladder of one with what is known of each row, the
// messages and what differs between two, connections, findings and statistics, of a running gateway or of a file of flows.
//
// Reading starts at Run and at model, which holds all that is shown and has one view for each page; keys.go has the table of
// keys. Update takes in keys and what the source tells, and View draws the cells of a screen; neither waits, reads a clock or
// asks anybody. A source does that: the gateway by its API (gateway.go), or a file (file.go), in goroutines that end before Run
// returns. Ladders are drawn by export.Draw, so that a row has the same words here as everywhere.
package tui

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
)

// Options say what is shown, and where.
type Options struct {
	Name   string    // of the source, for the heading
	Live   bool      // it is a running gateway
	Now    time.Time // of a file: when it is read
	ASCII  bool      // no character outside US-ASCII
	Colour string    // "auto", "always" or "never"
	Filter string    // of the list, to begin with; it has been checked
	Open   string    // the address of a call or row to begin with; empty: the list

	In  io.Reader // a terminal
	Out io.Writer // likewise
	Env []string  // TERM, NO_COLOR and the like
}

// A Source is where the calls come from: what Gateway or File returns.
type Source interface {
	source
	run(ctx context.Context, tell func(tea.Msg)) // until ctx ends
}

// Run shows a source until the user leaves or ctx ends.
func Run(ctx context.Context, src Source, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	m := newModel(src, o)
	if f, ok := src.(*file); ok { // there is nothing to wait for
		m.Update(f.list(o.Filter))
	}
	if o.Open != "" {
		m.command(o.Open)
	}
	env := o.Env
	switch o.Colour {
	case "never":
		env = append(slices.Clone(env), "NO_COLOR=1")
	case "always":
		env = append(slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "NO_COLOR=") }), "CLICOLOR_FORCE=1")
	}
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithEnvironment(env), tea.WithoutSignalHandler()}
	p := tea.NewProgram(m, options...)
	var running sync.WaitGroup
	running.Go(func() { src.run(ctx, p.Send) })
	_, err := p.Run()
	cancel()
	running.Wait()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil { // a signal: the terminal is as it was
		return nil
	}
	return err
}
