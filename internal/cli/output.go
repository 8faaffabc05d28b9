package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// style is how a command draws on one stream.
type style struct {
	colour bool
	ascii  bool // no character beyond ASCII
	width  int  // columns there are, at least 80
}

// colour codes of ECMA-48; the empty string where colour is off.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
	dim    = "2"
)

// paint returns text in this colour when s has colours, else text. An empty code is no colour.
func (s style) paint(code, text string) string {
	if !s.colour || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// checkStyle refuses a --color that is none of its words.
func (a *app) checkStyle() error {
	switch a.colour {
	case "auto", "always", "never":
		return nil
	}
	return usagef("--color %q is not auto, always or never", a.colour)
}

// style returns how to draw on w, one of the app's two streams: coloured when --color says so, else when w is a
// terminal, NO_COLOR is unset or empty and TERM is not "dumb". The width is COLUMNS when that is more than 80.
func (a *app) style(w io.Writer) style {
	s := style{ascii: a.ascii, width: 80}
	switch a.colour {
	case "always":
		s.colour = true
	case "auto":
		s.colour = terminal(w) && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
	}
	if n, err := strconv.Atoi(a.getenv("COLUMNS")); err == nil {
		s.width = max(s.width, min(n, 400))
	}
	return s
}

// terminal reports whether w is a character device, which a pipe and a file are not.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// jsonFlag gives c the flag --json and returns where its value will be.
func jsonFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("json", false, "print one JSON document instead of text")
}

// writeJSON writes v to standard output as one indented JSON document. Characters that move a terminal are escaped, also
// those that JSON lets stand: DEL and the controls of ISO 6429 beyond it.
func (a *app) writeJSON(v any) error {
	var doc bytes.Buffer
	e := json.NewEncoder(&doc)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range doc.String() {
		if r >= 0x7f && r < 0xa0 {
			fmt.Fprintf(&out, "\\u%04x", r)
		} else {
			out.WriteRune(r)
		}
	}
	_, err := io.WriteString(a.stdout, out.String())
	return err
}

// program is how the user called us, as far as that can be told: go run builds
// the program into a directory that is gone afterwards.
func program() string {
	if path, err := os.Executable(); err == nil && strings.Contains(path, "go-build") {
		return "go run ./cmd/sallyport"
	}
	return "sallyport"
}
