package route

import (
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// fromPeers demands that the caller is one of some peers. It compares names,
// because a connection may know its peer from before a reload.
type fromPeers struct {
	names map[string]bool
	text  string
}

func matchFrom(r *config.Route) matcher {
	if r.From == nil {
		return nil
	}
	m := &fromPeers{names: make(map[string]bool, len(r.From)), text: "from " + strings.Join(r.From, ", ")}
	for _, name := range r.From {
		m.names[name] = true
	}
	return m
}

func (m *fromPeers) match(f Facts) bool { return m.names[f.From.Name] }

func (m *fromPeers) why(f Facts) string {
	return fmt.Sprintf("the caller is %s", f.From.Name)
}

func (m *fromPeers) String() string { return m.text }
