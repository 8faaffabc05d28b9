// Package dialog keeps the state of SIP dialogs as values: RFC 3261 §12. It is for
// programs that write and send their requests themselves; package ua keeps the
// dialogs of its calls by it.
//
// Reading starts at [Dialog]. One is made by [NewUAS] from a request that we
// answer, or by [UAC.Response] from a response to a request of ours, one for each
// remote tag when the request forked. It says what a request inside the dialog
// looks like ([Dialog.Start], [Dialog.Headers], [Dialog.NextHop]) and judges the
// requests of the other side ([Dialog.Receive], [Dialog.Refresh]).
//
// Everything is copied out of the messages. Nothing here has a goroutine, a
// lock, a clock or a socket; one goroutine owns each value.
package dialog
