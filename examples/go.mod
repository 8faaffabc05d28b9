module github.com/sallyport-sip/sallyport/examples

go 1.26.0

replace github.com/sallyport-sip/sallyport => ../

require github.com/sallyport-sip/sallyport v0.0.0-00010101000000-000000000000

require golang.org/x/sys v0.49.0 // indirect
