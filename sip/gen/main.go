// Command gen writes the reference page of the headers that package sip knows,
// from the package's own table.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"

	"github.com/sallyport-sip/sallyport/sip"
)

func main() {
	out := flag.String("o", "", "page to write; standard output without it")
	flag.Parse()
	var err error
	if *out == "" {
		_, err = os.Stdout.Write(page())
	} else {
		err = os.WriteFile(*out, page(), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

const intro = `# Headers

Made by ` + "`go generate ./sip`" + ` from the table in ` + "`sip/header.go`" + `; do not edit.

The header fields that package ` + "`sip`" + ` knows. All others keep their bytes. *Fields* says how often the header may stand:
once; as a list, where several fields and several values by commas mean the same; or in many fields with one value each,
whose commas belong to the value. *Type* is the Go type of one value; accessors of ` + "`sip.Message`" + ` return it.
` + "`sip.CheckHeader`" + ` judges a value by the grammar of the section, ` + "`Message.CheckAll`" + ` all of a message.

| Header | Compact | Fields | Empty | Type | Grammar |
|---|---|---|---|---|---|
`

// page returns the page.
func page() []byte {
	var b bytes.Buffer
	b.WriteString(intro)
	for h := range sip.Headers() {
		fields, compact, empty := "many", "", ""
		switch {
		case h.List:
			fields = "list"
		case h.Single:
			fields = "once"
		}
		if h.Compact != 0 {
			compact = fmt.Sprintf("`%c`", h.Compact)
		}
		if h.Empty {
			empty = "may be"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | `%s` | %s |\n", h.Name, compact, fields, empty, h.Type, h.Section)
	}
	return b.Bytes()
}
