package config

import "fmt"

// SNI says what becomes of a client that asks for a name that no certificate of
// ours is for.
type SNI string

// The values of sni.
const (
	SNIAny    SNI = "any"
	SNIStrict SNI = "strict"
)

func (s *SNI) set(text string) *fault { return setWord(s, text, SNIAny, SNIStrict) }

// checkFurtherIdentities judges the references; which names the certificates
// have, and that no two have the same, is seen when the files are read.
func checkFurtherIdentities(c *Config, r *report, label string, l *Listener) {
	for i, name := range l.Identities {
		at := l.AtItem("identities", i)
		if checkName(r, label, "identity", at, name, c.Identities) && name == l.Identity {
			r.add(at, fmt.Sprintf("%s: %s stands in \"identities\" and is its identity already", label, quote(name)), "", "remove it from the list")
		}
	}
	checkTwice(r, label, "identities", l.Place, l.Identities)
}
