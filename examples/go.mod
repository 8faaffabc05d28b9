module github.com/sallyport-sip/sallyport/examples

go 1.26.0

replace github.com/sallyport-sip/sallyport => ../

require github.com/sallyport-sip/sallyport v0.0.0-00010101000000-000000000000

require (
	github.com/miekg/dns v1.1.73 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
