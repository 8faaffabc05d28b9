package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// render makes the page: for each RFC its cited sections in order, each with the files that cite it. Lines are left out,
// so that the page changes only when a file begins or ceases to cite a section.
func render(ix index, cites []cite) []byte {
	files := map[int]map[string][]string{} // RFC, section: files
	for _, c := range cites {
		name, _, _ := strings.Cut(c.place, ":")
		if files[c.rfc] == nil {
			files[c.rfc] = map[string][]string{}
		}
		if !slices.Contains(files[c.rfc][c.section], name) {
			files[c.rfc][c.section] = append(files[c.rfc][c.section], name)
		}
	}
	var b bytes.Buffer
	b.WriteString("# RFC sections and the code that follows them\n\nMade by `rfcxref` from the comments of the code; do not edit.\n")
	var unverified []int
	for _, rfc := range slices.Sorted(maps.Keys(files)) {
		if ix[rfc] == nil {
			unverified = append(unverified, rfc)
			continue
		}
		fmt.Fprintf(&b, "\n## RFC %d\n\n", rfc)
		sections(&b, files[rfc], ix[rfc])
	}
	if len(unverified) > 0 {
		b.WriteString("\n## Unverified\n\nThese RFCs are not in `rfc/index.txt`: nobody has checked that the sections exist.\n")
	}
	for _, rfc := range unverified {
		fmt.Fprintf(&b, "\n### RFC %d\n\n", rfc)
		sections(&b, files[rfc], nil)
	}
	return b.Bytes()
}

func sections(b *bytes.Buffer, files map[string][]string, titles map[string]string) {
	for _, section := range slices.SortedFunc(maps.Keys(files), bySection) {
		title := ""
		if t := titles[section]; t != "" {
			title = " " + t
		}
		fmt.Fprintf(b, "- §%s%s: ", section, title)
		for i, name := range files[section] {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(b, "[%s](../../%s)", name, name)
		}
		b.WriteByte('\n')
	}
}

// bySection puts §9.2 before §9.10 and both before §A.
func bySection(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		m, errM := strconv.Atoi(x)
		n, errN := strconv.Atoi(y)
		switch {
		case errM == nil && errN == nil:
			return m - n
		case errM == nil:
			return -1
		case errN == nil:
			return 1
		}
		return strings.Compare(x, y)
	})
}
