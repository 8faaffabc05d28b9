// Command gen writes the reference page of the configuration file from the
// doc comments of package config: a section per field of Config, a heading per
// key of the section's struct.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	dir := flag.String("dir", ".", "directory of package config")
	out := flag.String("o", "", "page to write; standard output without it")
	limits := flag.Bool("limits", false, "write the page of limits instead")
	flag.Parse()
	page, err := render(*dir)
	if *limits {
		page = renderLimits()
	}
	switch {
	case err != nil:
	case *out == "":
		_, err = os.Stdout.Write(page)
	default:
		if err = os.MkdirAll(filepath.Dir(*out), 0o755); err == nil {
			err = os.WriteFile(*out, page, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
