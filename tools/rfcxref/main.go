// Command rfcxref holds the code's citations of RFC sections against rfc/index.txt.
//
//	rfcxref                 exit status 1 when a cited section does not exist, or docs/reference/rfc.md is out of date
//	rfcxref -w              write docs/reference/rfc.md
//	rfcxref -index DIR      print an index made from the texts DIR/rfcNNNN.txt
//
// A citation is "RFC 3261 §17.1.1.2" in a comment or a string of a Go file. "RFC 3261 §9.1, §9.2" cites two sections, and
// a § without a number of an RFC before it belongs to the RFC that the same comment named last. Reading starts at run;
// cite.go finds citations, index.go reads and makes the index, page.go writes the page.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", "..", "the repository's `directory`")
	write := flag.Bool("w", false, "write docs/reference/rfc.md instead of comparing it")
	texts := flag.String("index", "", "print an index made from the RFC texts in this `directory`")
	flag.Parse()
	var err error
	if *texts != "" {
		err = printIndex(os.Stdout, *texts)
	} else {
		err = run(os.Stdout, *root, *write)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rfcxref:", err)
		os.Exit(1)
	}
}

// page is where the cross reference is written, below the repository's root.
const page = "docs/reference/rfc.md"

// run checks every citation below root and writes or compares the page.
func run(w io.Writer, root string, write bool) error {
	text, err := os.ReadFile(filepath.Join(root, "rfc", "index.txt"))
	if err != nil {
		return err
	}
	ix, err := parseIndex(string(text))
	if err != nil {
		return err
	}
	cites, err := scan(root)
	if err != nil {
		return err
	}
	wrong := 0
	for _, c := range cites {
		if problem := ix.problem(c); problem != "" {
			wrong++
			fmt.Fprintf(w, "%s: %s\n", c.place, problem)
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d citations of sections that do not exist", wrong)
	}
	want := render(ix, cites)
	file := filepath.Join(root, filepath.FromSlash(page))
	if write {
		return os.WriteFile(file, want, 0o644)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if string(got) != string(want) {
		return fmt.Errorf("%s is out of date: run \"make generate\"", page)
	}
	fmt.Fprintf(w, "rfcxref: %d citations, all of sections that exist\n", len(cites))
	return nil
}
