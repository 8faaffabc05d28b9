package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says what this binary was made from. It is the document of "version --json".
type build struct {
	Version  string `json:"version"`            // the module's version, "(devel)" when built from a working tree
	Revision string `json:"revision,omitempty"` // the commit, when the build knew it
	Time     string `json:"time,omitempty"`     // the commit's time, RFC 3339
	Modified bool   `json:"modified"`           // the tree differed from the commit
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func version(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "version [--json]",
		Short:   "Show the version of sallyport and of Go",
		Example: "  sallyport version\n  sallyport version --json",
		Args:    noArgs,
	}
	exits(c, "always", "")
	asJSON := jsonFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		info, _ := debug.ReadBuildInfo()
		b := buildOf(info)
		if *asJSON {
			return a.writeJSON(b)
		}
		_, err := fmt.Fprintln(a.stdout, b)
		return err
	}
	return c
}

// buildOf reads what the linker recorded; info may be nil.
func buildOf(info *debug.BuildInfo) build {
	b := build{Version: "(devel)", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info == nil {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String is the one line of "version".
func (b build) String() string {
	s := "sallyport " + b.Version
	if b.Revision != "" {
		s += " " + b.Revision[:min(12, len(b.Revision))]
		if b.Modified {
			s += " modified"
		}
	}
	return fmt.Sprintf("%s, %s %s/%s", s, b.Go, b.OS, b.Arch)
}
