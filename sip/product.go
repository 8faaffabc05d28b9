package sip

import "iter"

// Products are what User-Agent and Server say about a piece of software: products
// with versions, and comments (RFC 3261 §20.35, §20.41), as written.
type Products []byte

// Product is one piece: a name with or without a version, or a comment.
type Product struct {
	Name, Version []byte
	Comment       []byte // with its parentheses, when it is none of the others
}

const (
	commentRule = "a comment's parentheses close"
	productRule = "products and comments, with spaces between; a product is a token, and a version behind a slash"
)

// UserAgent returns the User-Agent header, ErrAbsent when there is none.
func (m *Message) UserAgent() (Products, error) { return first(m, HdrUserAgent, parseProducts) }

// Server returns the Server header, ErrAbsent when there is none.
func (m *Message) Server() (Products, error) { return first(m, HdrServer, parseProducts) }

// All returns the pieces in order, as far as they are well-formed.
func (p Products) All() iter.Seq[Product] {
	return func(yield func(Product) bool) {
		for i := 0; i < len(p); {
			x, end, rule := parseProduct(p, i)
			if rule != "" || !yield(x) {
				return
			}
			i = skipSpace(p, end)
		}
	}
}

// Append appends the products as they are written.
func (p Products) Append(dst []byte) []byte { return append(dst, p...) }

func parseProducts(b []byte, i int) (p Products, end int, rule string) {
	for start := i; ; {
		x, end, rule := parseProduct(b, i)
		if rule != "" {
			return nil, end, rule
		}
		if end == len(b) {
			return Products(b[start:]), end, ""
		}
		// Parentheses are separators, so that comments need no space around them.
		if i = skipSpace(b, end); i == end && x.Comment == nil && b[i] != '(' {
			return nil, end, productRule
		}
	}
}

func parseProduct(b []byte, i int) (p Product, end int, rule string) {
	if at(b, i, '(') {
		if end = endComment(b, i); end < 0 {
			return p, i, commentRule
		}
		p.Comment = b[i:end]
		return p, end, ""
	}
	if end = endOf(b, i, classToken); end == i {
		return p, i, productRule
	}
	p.Name = b[i:end]
	if slash := skipSpace(b, end); at(b, slash, '/') {
		start := skipSpace(b, slash+1)
		if end = endOf(b, start, classToken); end == start {
			return p, start, productRule
		}
		p.Version = b[start:end]
	}
	return p, end, ""
}

// endComment reads a comment that begins at i, with those in it; -1 means that it
// does not close.
func endComment(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}
