package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// helpWidth is how wide a page of help is.
const helpWidth = 80

// helpFlags draws a table of flags. The usage of a flag that takes a value has a word in backquotes, which stands for the
// value: it is shown beside the flag, and when it is the beginning of the usage, with a colon behind, only there.
func helpFlags(w io.Writer, flags *pflag.FlagSet) {
	const longest = 26 // of a left column that the texts of all begin behind
	var left, right []string
	wide := 0
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		head := "      --" + f.Name
		if f.Shorthand != "" {
			head = "  -" + f.Shorthand + ", --" + f.Name
		}
		value, text := pflag.UnquoteUsage(f)
		if value != "" {
			head += " " + value
			text = strings.TrimPrefix(text, value+": ")
		}
		if !strings.Contains(text, "(default") && value != "" && f.DefValue != "" && f.DefValue != "[]" {
			text += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		left, right = append(left, head), append(right, text)
		if n := len(head); n <= longest {
			wide = max(wide, n)
		}
	})
	for i, head := range left {
		if len(head) > wide {
			fmt.Fprintln(w, head)
			head = ""
		}
		for _, line := range wrapWords(right[i], helpWidth-wide-3) {
			fmt.Fprintf(w, "%-*s   %s\n", wide, head, line)
			head = ""
		}
	}
}
