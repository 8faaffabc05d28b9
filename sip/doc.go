// Package sip reads and writes SIP messages (RFC 3261) without copying what it
// does not change.
//
// A [Message] is one byte slice and an index of its header fields, filled in a
// single pass with no allocation. Accessors such as [Message.Via],
// [Message.From] and [Message.CSeq] parse on demand and return small values
// whose byte slices point into the message.
//
// Reading starts at [Parse] for datagrams and at [Framer] for streams; writing
// at [Builder]. The package has no goroutine, no clock and does no I/O.
//
// # Headers
//
// Every header of the RFCs that the package follows is read by a method of
// Message. What stands once has a method of its name: [Message.ContentType],
// [Message.Event], [Message.Expires], [Message.RAck], [Message.SessionID]; it
// returns [ErrAbsent] when the header is not there. What has several values has
// an iterator over all of them, across commas and fields: [Message.Vias],
// [Message.Warnings], [Message.Challenges], and for headers of one kind
// [Message.Addresses], [Message.Items] and, as bytes, [Message.Values].
// [Message.Lists] and [Message.Allows] ask for one token. Each type has Append,
// which writes it. [Headers] names them all; docs/reference/headers.md is made
// from it. A [URI] is parsed by [ParseURI] and compared by [URI.Equal]; parts of a
// multipart body come from [Message.Parts].
//
// # Ownership
//
// A message has one owner at a time: the reader that loaded it, the queue it
// waits in, the handler that got it. The owner calls [Message.Release] once
// and must not touch the message, nor any slice taken from it, afterwards. Who
// wants to keep something copies it, or keeps a [Message.Clone]. In builds
// with the race detector a released buffer is overwritten, so that a slice
// kept too long shows itself at once.
//
// # Strictness
//
// [Parse] keeps the first fault it finds and indexes the rest, so that a
// malformed request can be answered; [Message.Check] refuses what must not be
// acted on. Both follow the grammar with these liberties, which are met in
// practice: no space before an angle bracket, UTF-8 in a display name without
// quotes, an underscore in a host name, a status line without a reason, a From
// without a tag, brackets around an IPv6 address in received, a third colon
// before the IPv4 address in an IPv6 address; and from a client of RFC 2543, whose
// branch lacks the magic cookie, an INVITE without a Contact. They take no line
// end but CR LF, and none of it alone; no comma in an address without brackets;
// no second value for what stands once; no control characters in a header section.
// A reader that wants none of the liberties asks [Message.CheckAll], or
// [CheckHeader] for one value: both judge by the grammar of each header's RFC, with
// digits in the subtags of languages (RFC 5646) as the one exception.
package sip

//go:generate go run ./gen -o ../docs/reference/headers.md
