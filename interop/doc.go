// Package interop meets sipgo, another SIP stack: it asks sipgo about messages that we read and write, has it call through the
// built gateway and be called, and measures ours beside it in one run. Each kind of disagreement between the parsers is judged in
// disagreements.tsv; a new kind, or one that is gone, fails TestDifferential. It is a module of its own, so that nothing here becomes a dependency of the product.
//
//	go test ./...
//	go test -run '^$' -bench . -benchmem -count 10
package interop
