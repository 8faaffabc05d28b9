package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// initCommand is "sallyport init": from a few words on the command line to a directory with which the gateway runs, and
// a letter for each of those that it will speak with. init_plan.go reads the words, init_config.go and init_letter.go
// write the texts, init_files.go puts all of it in its place.
func initCommand(a *app) *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use:   "init DIR --name DOMAIN --pbx URI --carrier NAME=URI...",
		Short: "Begin a gateway: keys, a configuration, a letter to each peer",
		Long: "Init writes a new directory: a configuration with comments, a certificate and\n" +
			"its key, the authority that signed it, and for each peer a text to send there,\n" +
			"which says all that the other side must know and holds no secret. It asks no\n" +
			"network, and changes nothing that is there already.",
		Example: "  sallyport init gw --name sbc.example.com --pbx sip:10.0.0.5 \\\n" +
			"      --carrier acme=sip:sip.acme.example:5061\n" +
			"  sallyport init gw --name sbc.example.com --lan 10.0.0.2 \\\n" +
			"      --pbx \"sip:pbx.example.com;transport=tls\" --trust pbx=pbx.pem \\\n" +
			"      --carrier acme=sip:198.51.100.7 --certificate-name acme=acme.example \\\n" +
			"      --carrier backup=sip:sip.backup.example",
		Args: func(c *cobra.Command, dirs []string) error {
			if len(dirs) != 1 {
				return usagef("init makes one new directory: name it, for instance sallyport init gw --name ...")
			}
			return nil
		},
	}
	exits(c, "the directory was written", "it was not, and nothing else was")
	f.add(c)
	asJSON := jsonFlag(c)
	c.RunE = func(_ *cobra.Command, dirs []string) error {
		p, err := f.plan(dirs[0])
		if err != nil {
			return err
		}
		made, err := p.write(writeDurable)
		if err != nil {
			return err
		}
		if *asJSON {
			return a.writeJSON(made)
		}
		_, err = fmt.Fprint(a.stdout, made.text(a.style(a.stdout)))
		return err
	}
	return c
}

// initiated is what init has done: the document of --json.
type initiated struct {
	Directory string          `json:"directory"`
	Files     []initFile      `json:"files"`
	Peers     []initiatedPeer `json:"peers"`
	Notes     []string        `json:"notes"` // what was chosen, or may surprise; sentences
	Next      []string        `json:"next"`  // commands
}

// initFile is one file that init writes.
type initFile struct {
	Name   string `json:"name"`
	About  string `json:"about"`
	Secret bool   `json:"secret"`
	data   []byte
}

// initiatedPeer says how a peer is reached and known.
type initiatedPeer struct {
	Name  string `json:"name"`
	URI   string `json:"uri"`
	Known string `json:"known"` // a sentence
}

// nextCommands are three to copy: look at it, run it, see that it works.
func (p *initPlan) nextCommands() []string {
	us, file := calledAs(), quoteForShell(p.file())
	return []string{
		us + " check " + file,
		us + " serve --config " + file,
		us + " status --config " + file,
	}
}

// calledAs is how this program can be called again: by its name alone when the shell finds it so, else as it was called.
func calledAs() string {
	us := program()
	if us != "sallyport" || !strings.ContainsRune(os.Args[0], filepath.Separator) {
		return us
	}
	if found, err := exec.LookPath(us); err == nil && sameFile(found, os.Args[0]) {
		return us
	}
	return quoteForShell(os.Args[0])
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// file is the path of the configuration as the user would type it.
func (p *initPlan) file() string {
	path := filepath.Join(p.dir, configName)
	if strings.HasPrefix(path, "-") {
		path = "." + string(filepath.Separator) + path
	}
	return path
}

// text is for people.
func (m initiated) text(s style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Written to %s:\n", s.paint(bold, m.Directory))
	wide := 0
	for _, f := range m.Files {
		wide = max(wide, len(f.Name))
	}
	for _, f := range m.Files {
		colour := ""
		if f.Secret {
			colour = yellow
		}
		writeColumns(&b, s, wide, f.Name, colour, f.About)
	}
	b.WriteByte('\n')
	wide = 0
	for _, p := range m.Peers {
		wide = max(wide, len(p.Name))
	}
	for _, p := range m.Peers {
		writeColumns(&b, s, wide, p.Name, bold, p.Known)
	}
	for _, note := range m.Notes {
		b.WriteByte('\n')
		for _, line := range wrapWords(note, s.width) {
			fmt.Fprintln(&b, line)
		}
	}
	fmt.Fprintf(&b, "\nSend each send-to file to whom it is for. Then:\n\n")
	for _, line := range m.Next {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return b.String()
}

// writeColumns writes a name, and beside it a text in as many lines as it needs.
func writeColumns(b *strings.Builder, s style, wide int, name, colour, text string) {
	pad := strings.Repeat(" ", wide-len(name))
	for _, line := range wrapWords(text, max(s.width-wide-5, 20)) {
		fmt.Fprintf(b, "  %s%s  %s\n", s.paint(colour, name), pad, line)
		name, pad = "", strings.Repeat(" ", wide)
	}
}

// quoteForShell makes one word of a text for the shell that the user has.
func quoteForShell(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,@%+=", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	if runtime.GOOS == "windows" {
		return `"` + text + `"` // a file name there has no quotation mark
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// nearestPeer adds to an error about a peer that there is not, which one may be meant.
func nearestPeer(name string, peers []initPeer) string {
	var known []string
	for _, p := range peers {
		known = append(known, p.name)
	}
	if near, ok := config.Nearest(name, known); ok {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ": there is " + strings.Join(known, ", ")
}
