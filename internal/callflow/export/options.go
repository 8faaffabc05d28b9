package export

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// timesNames are the Times as they are written, in the order of their values.
var timesNames = []string{TimesDelta: "delta", TimesOfDay: "day", TimesSince: "since", TimesScaled: "scaled"}

// TimesNames are the names of all Times.
func TimesNames() []string { return slices.Clone(timesNames) }

// LookupTimes finds Times by their name. The error lists those that exist.
func LookupTimes(name string) (Times, error) {
	if i := slices.Index(timesNames, name); i >= 0 {
		return Times(i), nil
	}
	return 0, fmt.Errorf("%q is none of %s", name, strings.Join(timesNames, ", "))
}

// widest is the most columns of a ladder as text.
const widest = 1000

// ReadOptions reads how a flow is drawn out of the query of a URL:
//
//	fold=0               each step of each handshake; otherwise a good one is one row
//	open=A,B  closed=C   legs whose handshake is drawn whole, or as one row, whatever fold says
//	hide=C               legs that are left out
//	time=day             one of TimesNames
//	width=100            columns of text
//	columns=4            lifelines at most
//	compress=1           without lifelines to which nothing was sent
//	ascii=1  numbers=1   text in US-ASCII; with the numbers of its rows
//
// What it does not know it leaves to others. An error names the key, and says what may stand there.
func ReadOptions(q url.Values, f *callflow.Flow) (o Options, err error) {
	o.FoldTLS = true
	for _, yes := range []struct {
		name string
		to   *bool
	}{{"fold", &o.FoldTLS}, {"compress", &o.Compress}, {"ascii", &o.ASCII}, {"numbers", &o.Numbers}} {
		switch text := q.Get(yes.name); text {
		case "":
		case "0", "1":
			*yes.to = text == "1"
		default:
			return o, fmt.Errorf("%s=%q: use 1 for yes or 0 for no", yes.name, text)
		}
	}
	for _, n := range []struct {
		name  string
		to    *int
		least int
	}{{"width", &o.Width, minWidth}, {"columns", &o.Columns, 3}} {
		text := q.Get(n.name)
		if text == "" {
			continue
		}
		if *n.to, err = strconv.Atoi(text); err != nil || *n.to < n.least || *n.to > widest {
			return o, fmt.Errorf("%s=%q: use a number from %d to %d", n.name, text, n.least, widest)
		}
	}
	if text := q.Get("time"); text != "" {
		if o.Times, err = LookupTimes(text); err != nil {
			return o, fmt.Errorf("time=%w", err)
		}
	}
	for _, key := range []struct {
		name string
		to   *map[int]bool
		as   bool
	}{{"closed", &o.Open, false}, {"open", &o.Open, true}, {"hide", &o.Hide, true}} {
		if err = legs(q.Get(key.name), f, key.to, key.as); err != nil {
			return o, fmt.Errorf("%s=%q: %w", key.name, q.Get(key.name), err)
		}
	}
	return o, nil
}

// legs reads names of legs, and says the same of each.
func legs(text string, f *callflow.Flow, to *map[int]bool, as bool) error {
	if text == "" {
		return nil
	}
	var names []string
	for _, l := range f.Legs {
		names = append(names, l.Name)
	}
	if *to == nil {
		*to = map[int]bool{}
	}
	for name := range strings.SplitSeq(text, ",") {
		i := slices.Index(names, name)
		if i < 0 {
			return fmt.Errorf("call %s has no leg %q; its legs are %s", f.ID, name, strings.Join(names, ", "))
		}
		(*to)[i] = as
	}
	return nil
}
