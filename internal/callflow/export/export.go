// Package export renders flows. There is one file per format and one row per format in the table formats; every format
// draws the same callflow.Flow, so that they cannot differ in what they say.
//
// Nothing in a flow holds a secret, so no export does. Text that came from the network is cleaned before it reaches a
// terminal.
package export

import (
	"fmt"
	"io"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// Options say how a flow is drawn. The zero value is plain Unicode text, 80 columns wide.
type Options struct {
	ASCII   bool // no character outside US-ASCII
	Colour  bool // ANSI colours; never the only sign of anything
	Bare    bool // without heading, causes and remedies: the page around it has those
	FoldTLS bool // one row for all steps of a good handshake; a refused one stays open
	Times   Times
	Width   int // columns; 0 means 80, and less than 60 counts as 60

	// Hide has legs, by index, that are not shown, nor their lifelines.
	Hide     map[int]bool
	Compress bool // leave out lifelines to which nothing was sent
	Columns  int  // at most so many, three at least; 0: as many as there are, and in text as many as have room
	Numbers  bool // in text, the number of each row; always where a finding names rows

	// Open has legs, by index, whose handshake is drawn whole (true) or as one row (false), whatever FoldTLS says.
	Open map[int]bool

	// Kept returns what was on the wire of a connection, nil when nothing was kept of it; a nil function: of none. Only
	// pcapng looks at it, and what it writes then holds secrets.
	Kept func(*callflow.Link) *Kept
}

// Times is what stands at the left of each row.
type Times uint8

// The times.
const (
	TimesDelta  Times = iota // since the row above; nothing for rows of one flight
	TimesOfDay               // UTC
	TimesSince               // since the first row
	TimesScaled              // as TimesDelta, and a pause of a second, ten or a minute takes one line, two or three
)

// A Format writes flows in one way.
type Format struct {
	Name  string // as on the command line
	About string // one line
	Drawn bool   // it shows a View, so that Options say which rows it has; others hold the flow whole
	Write func(w io.Writer, flows []*callflow.Flow, o Options) error
}

var formats = []Format{
	{"text", "ladders for a terminal or a mail", true, Text},
	{"json", "one document with legs, handshakes and events", false, JSON},
	{"svg", "a picture: selectable text, light and dark, no script", true, SVG},
	{"html", "one page with picture, messages, certificates and verdicts", true, HTML},
	{"plantuml", "a sequence diagram for PlantUML", true, PlantUML},
	{"mermaid", "a sequence diagram for Mermaid, as Markdown pages have it", true, Mermaid},
	{"pcapng", "packets for Wireshark, made of the recorded messages", false, PCAPNG},
}

// Formats returns every format, in the order in which help lists them.
func Formats() []Format { return append([]Format(nil), formats...) }

// Lookup finds a format by its name. The error lists those that exist.
func Lookup(name string) (Format, error) {
	var names []string
	for _, f := range formats {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Format{}, fmt.Errorf("export format %q: unknown, use one of %s", name, strings.Join(names, ", "))
}
