// Package examples holds programs that use the library from outside its module,
// each in one short file, written from the page of package ua:
//
//	options  answers OPTIONS over UDP, in 20 lines
//	call     places a call and hangs up, in 30 lines
//	answer   answers calls over mutual TLS from one domain, in 40 lines
//
// Its test builds them and runs them against each other and scripted peers.
package examples
