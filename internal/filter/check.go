package filter

import (
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// Check says what is wrong with the filters that a configuration saves.
func Check(cfg *config.Config) []config.Problem {
	var problems []config.Problem
	all := cfg.SavedFilters()
	for i := range cfg.Filters {
		f := &cfg.Filters[i]
		_, err := Parse(f.Text, Options{Now: time.Now(), Saved: all})
		if err == nil {
			continue
		}
		e := err.(*Error)
		problems = append(problems, cfg.Problem(f.Pos, fmt.Sprintf("filter %q, character %d: %s", f.Name, e.Column(), e.What),
			"it is "+strings.ReplaceAll(e.Text, "\n", " "), e.Remedy))
	}
	return problems
}
