// Package filter is the language in which a person says which calls, handshakes and flows to show:
//
//	state:failed tls.reason:expired -method:OPTIONS peer:acme to:+49* setup>2s since:1h
//
// The same text means the same on the page, in the terminal, on the command line and in the API. Parse makes a Filter of it; String
// writes it again; Flow, Line, CDR and Handshake judge. Reading starts at Parse in parse.go, and at the table keys in keys.go, which
// is also what docs/reference/filter.md is made of. One filter may be used by many goroutines.
//
// A filter is a list of clauses, which all must hold; a clause is a list of terms, of which one must. Match is exact; Calls and
// Handshakes narrow a search in the store to less than everything, and what is found there is then judged by Match.
package filter
