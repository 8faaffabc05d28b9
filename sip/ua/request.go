package ua

import "github.com/sallyport-sip/sallyport/sip"

// Request is a request that a Handler serves.
type Request struct {
	Msg *sip.Message // valid until ServeSIP returns
}
