package route

import (
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// number demands a called number, or how it begins.
type number struct {
	pattern config.Number
	text    string
	prefix  bool
}

func matchNumber(r *config.Route) matcher {
	if r.Number == "" {
		return nil
	}
	m := &number{pattern: r.Number}
	m.text, m.prefix = r.Number.Split()
	return m
}

func (m *number) match(f Facts) bool {
	if m.prefix {
		return strings.HasPrefix(f.User, m.text)
	}
	return f.User == m.text
}

func (m *number) why(f Facts) string {
	if m.prefix {
		return fmt.Sprintf("the number %q does not begin with %q", f.User, m.text)
	}
	return fmt.Sprintf("the number %q is not %q", f.User, m.text)
}

func (m *number) String() string { return "number " + string(m.pattern) }
