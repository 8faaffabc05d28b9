// Package resolve finds the servers of a SIP URI in the DNS, to be tried in
// order (RFC 3263): NAPTR, SRV by priority and weight (RFC 2782), addresses of
// both families (RFC 7984).
//
//	r := new(resolve.Resolver) // the system's name servers
//	q, err := resolve.ForURI(uri)
//	for to, err := range r.Targets(ctx, q) {
//		// to.Transport, to.Addr; to.Name is what the certificate must be for
//	}
//
// [Resolver] is safe for many goroutines and keeps a cache; make one and keep
// it. [Resolver.Targets] is the way for a loop; [Resolver.Walk] gives the same
// targets one by one to who tries them from events. Each asks only for what the
// next target needs. Package ua does so for requests without an address.
//
// # What is asked
//
// RFC 3263 §4: an address, a port or a transport in the URI is taken as written
// and makes the steps before it needless. Otherwise NAPTR records choose the
// transport, among those that the caller supports, and SRV records the hosts and
// ports; a name with neither has the scheme's usual transport and port. A sips:
// URI leads to TLS only, by _sips._tcp. Once a transport was chosen, all
// targets have it: an attacker who keeps us from a TLS server does not get us to
// use UDP. For the same reason a question that finds no answer is an error, and
// never taken for "there are no such records".
//
// Names are absolute: search lists of resolv.conf are not applied to them. A
// name in the hosts file has the addresses from there, and localhost the loopback
// ones (RFC 6761 §6.3), and neither is asked for in the DNS.
//
// # What is believed
//
// A name server can lie about addresses, which is why the certificate is
// compared with Target.Name, the name asked for, and never with a name from the
// DNS (RFC 5922 §7.3). Beyond that an answer counts only when it is for our
// question, from the server that was asked, with the identifier, the port and the
// letters' case (all random) that we sent. Of its records those count that the
// question asks for, perhaps by way of aliases; whatever else is in it is not
// looked at, addresses in the additional section too. All lists are bounded.
//
// # Cache
//
// Answers are kept for their TTL, from a second to a day; that there is none for
// what the SOA says (RFC 2308), at most 15 minutes; that nobody answers for 5
// seconds (RFC 9520). While no server answers, an answer that is out of date
// serves for a day more (RFC 8767). Equal questions at the same time are asked
// once. No goroutine outlives the call that started it.
//
// Reading goes on in walk.go, srv.go, naptr.go and hosts.go with the order of
// targets, then lookup.go with the cache, ask.go and answer.go with the servers.
package resolve
