// Package interop meets other SIP stacks: it asks them about messages that we read and write, and measures ours beside
// theirs in one run. It is a module of its own, so that nothing here becomes a dependency of the product.
//
//	go test ./...
//	go test -run '^$' -bench . -benchmem -count 10
package interop
