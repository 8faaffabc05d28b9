// Package config reads the gateway's one file.
//
// [Load] and [Parse] turn YAML into a [Config], a tree of plain structs in the
// order of the file, and report every [Problem] at once, each with its line
// and column. Start reading at [Config]; each section has its own file
// (listener.go, identity.go, trust.go, policy.go, defaults.go, profile.go, peer.go,
// route.go, resolver.go, admin.go), which holds the struct, the values that only that
// section uses, and its check. yaml.go turns bytes into a syntax tree,
// decode.go the tree into structs.
//
// A setting is a field with a yaml tag and a doc comment; the reference page
// is made of those comments. The package judges the shape of the file and its
// references. What needs other knowledge is judged by the packages that have
// it: PEM files in trust, ambiguous peers in peer, dead routes in route. Each
// of them has a Check(cfg) []config.Problem, and uses the positions that every
// element remembers.
//
// Nothing here does I/O, except that Load reads the one file. No goroutine.
package config

//go:generate go run ./gen -o ../../docs/reference/config.md
//go:generate go run ./gen -limits -o ../../docs/reference/limits.md
