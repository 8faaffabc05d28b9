package ua

// Handler answers requests. ServeSIP runs in a goroutine of its own, one
// request of a Call-ID after the other in the order in which they came, and
// may block.
type Handler interface {
	ServeSIP(r *Request)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(r *Request)

// ServeSIP calls f.
func (f HandlerFunc) ServeSIP(r *Request) { f(r) }
