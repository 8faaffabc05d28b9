package config

import "strings"

// Route says where calls go. Every key that is written must match.
type Route struct {
	Name string // "1" for the first route of the file, and so on
	Place

	// The peers whose calls it takes. Default: any peer.
	From []string `yaml:"from" form:"list of names of peers"`

	// What the called number must be, which is the user of the Request-URI
	// without escapes: a whole number, or its beginning with a `*` behind it.
	// Letter case counts. Default: `*`, any.
	Number Number `yaml:"number" form:"\"number\", \"beginning*\" or \"*\""`

	// The peers to call, in order: the next is tried when one fails.
	To []string `yaml:"to" need:"required" form:"list of names of peers"`
}

// Number is a pattern for the called number: "+49301234", "+49*", "*" or, like
// "*", nothing.
type Number string

// Split returns what the number must be, or with prefix must begin with.
func (n Number) Split() (text string, prefix bool) {
	if n == "" {
		return "", true
	}
	return strings.CutSuffix(string(n), "*")
}

func (n *Number) set(text string) *fault {
	switch star := strings.IndexByte(text, '*'); {
	case strings.ContainsAny(text, `^[]{}|\`), strings.Trim(text, "+0123456789") == ".*":
		return &fault{why: "a number is no regular expression", remedy: `write the whole number, or its beginning with a * behind it, for instance "+49*"`}
	case star >= 0 && star < len(text)-1:
		return &fault{why: "a * stands only at the end, where it means anything that follows", remedy: "write for instance " + quote(text[:star+1])}
	case strings.ContainsAny(text, " \t@"):
		return &fault{why: "a called number has neither spaces nor @", remedy: `write it as it is dialled, for instance "+49*"`}
	}
	*n = Number(text)
	return nil
}

func checkRoutes(c *Config, r *report) {
	for i := range c.Routes {
		route := &c.Routes[i]
		label := "route " + route.Name
		if route.Has("from") && len(route.From) == 0 && !route.Broken("from") {
			r.add(route.At("from"), label+`: "from" is an empty list`, "it would match no call", "name peers, or leave the key out for any peer")
		}
		if len(route.To) == 0 && !route.Broken("to") {
			r.add(route.At("to"), label+`: "to" names nobody`, "the call would have nowhere to go", "name the peers to call, in order")
		}
		for j, name := range route.From {
			checkName(r, label, "peer", route.AtItem("from", j), name, c.Peers)
		}
		for j, name := range route.To {
			checkName(r, label, "peer", route.AtItem("to", j), name, c.Peers)
		}
		checkTwice(r, label, "from", route.Place, route.From)
		checkTwice(r, label, "to", route.Place, route.To)
	}
}
