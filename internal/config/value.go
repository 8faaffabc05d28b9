package config

import (
	"errors"
	"strings"
)

// ParseURI reads a peer's uri from elsewhere than the file, such as a command
// line. The error says what is wrong with it and what to write; it does not
// repeat the text, in which there may be a password.
func ParseURI(text string) (URI, error) { return parse[URI](text) }

// ParseHostPort reads what a listener may advertise, as [ParseURI] does.
func ParseHostPort(text string) (HostPort, error) { return parse[HostPort](text) }

// ParseAddress reads what a listener may listen on, as [ParseURI] does.
func ParseAddress(text string) (Address, error) { return parse[Address](text) }

// ParseSource reads an entry of accept_from, as [ParseURI] does.
func ParseSource(text string) (Source, error) { return parse[Source](text) }

// CheckName returns what is wrong with a name of a peer or of another element,
// nil for one that the file may have.
func CheckName(name string) error { return checkElementName(name).err() }

// parse reads one value.
func parse[V any, P interface {
	*V
	set(string) *fault
}](text string) (V, error) {
	var v V
	return v, P(&v).set(text).err()
}

// err is nil for no fault.
func (f *fault) err() error {
	if f == nil {
		return nil
	}
	var parts []string
	for _, s := range []string{f.why, f.remedy} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return errors.New(strings.Join(parts, ", "))
}
