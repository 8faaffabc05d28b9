package main

import (
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// cite is one citation: a section of an RFC, and the place in the code.
type cite struct {
	rfc     int // 0 when the comment names none
	section string
	place   string // file:line, with slashes, from the repository's root
}

// mark is a part of a citation: an RFC's number, or a section.
var mark = regexp.MustCompile(`RFC[\s/]+(\d{3,5})|§+\s?([0-9]+(?:\.[0-9]+)*|[A-Z](?:\.[0-9]+)*\b)`)

// scan finds the citations in all Go files below root, tests included, in the order of the files' names. Modules inside
// the repository count too; only test data, hidden directories and this tool do not.
func scan(root string) ([]cite, error) {
	var cites []cite
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "tools"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		cites = append(cites, citesOf(filepath.ToSlash(short), text)...)
		return nil
	})
	return cites, err
}

// citesOf finds the citations in one Go file's comments and strings. Comments on lines that follow each other are one
// text: a § in it belongs to the RFC named last. A string is a text by itself.
func citesOf(name string, text []byte) []cite {
	file := token.NewFileSet().AddFile(name, -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, scanner.ScanComments)
	var cites []cite
	comment, begin, end := "", 0, -1 // the text of the comments so far, its first line and its last
	flush := func() {
		cites = append(cites, citesIn(name, comment, begin)...)
		comment, end = "", -1
	}
	for {
		pos, tok, lit := s.Scan()
		line := file.Line(pos)
		switch {
		case tok == token.EOF:
			flush()
			return cites
		case tok == token.STRING:
			cites = append(cites, citesIn(name, lit, line)...)
		case tok == token.COMMENT:
			if line > end+1 {
				flush()
				begin = line
			} else {
				comment += strings.Repeat("\n", line-end)
			}
			comment += lit
			end = line + strings.Count(lit, "\n")
		}
	}
}

// citesIn finds the citations in one text, which begins at a line.
func citesIn(name, text string, line int) []cite {
	var cites []cite
	rfc := 0
	for _, m := range mark.FindAllStringSubmatchIndex(text, -1) {
		if m[2] >= 0 {
			rfc, _ = strconv.Atoi(text[m[2]:m[3]])
			continue
		}
		at := line + strings.Count(text[:m[0]], "\n")
		cites = append(cites, cite{rfc, text[m[4]:m[5]], fmt.Sprintf("%s:%d", name, at)})
	}
	return cites
}
