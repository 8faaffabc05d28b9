package testca

import (
	"crypto/x509"
	"encoding/asn1"
)

// SIPDomain is id-kp-sipDomain (RFC 5924 §3).
var SIPDomain = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 20}

// Domains is what the certificates of Cases are made with: a root that is trusted, and one that is not.
type Domains struct {
	Root, Rogue *CA

	revoked []*x509.Certificate
}

// NewDomains mints the two roots.
func NewDomains() *Domains { return &Domains{Root: New("Example Root"), Rogue: New("Rogue Root")} }

// CRL is the trusted root's list of what it has revoked of the certificates minted so far, in PEM form.
func (d *Domains) CRL() []byte { return CRLPEM(d.Root.CRL(nil, d.revoked...)) }

// revoke puts a certificate of the trusted root on its list.
func (d *Domains) revoke(c *x509.Certificate) { d.revoked = append(d.revoked, c) }

// revokedLeaf mints one that its CA has revoked since.
func revokedLeaf(d *Domains) *Leaf {
	l := d.Root.Leaf("gw", DNS("example.com"))
	d.revoke(l.Cert())
	return l
}

// Case is a certificate that a SIP server or client may show, and what must become of it: one of the TLS tests 8 to 24 of
// RFC 6216 §6 and of what RFC 5922 and 5924 say beyond them, with certificates of today.
type Case struct {
	ID     string // the number of the test, with a letter for a variant of it
	Shows  string // the certificate in words
	Wanted string // the domain or address for which the peer is known
	Policy string // what the peer's policy says, as in the configuration; empty: the default one
	Server string // what becomes of it when a server shows it: empty for accepted, Noted, else the code of the reason
	Client string // the same when a client shows it
	Why    string // the rule with its section

	Mint func(*Domains) *Leaf
}

// Noted is what becomes of a certificate that is accepted because the policy allows it, and marked as that.
const Noted = "noted"

// Refused says whether the role of who shows it is refused: pass c.Server or c.Client.
func Refused(outcome string) bool { return outcome != "" && outcome != Noted }

// serverAuth and its like are extended key usages by their short names.
var (
	serverAuth = x509.ExtKeyUsageServerAuth
	clientAuth = x509.ExtKeyUsageClientAuth
)

// of mints below the trusted root, with the common name given.
func of(cn string, opts ...Option) func(*Domains) *Leaf {
	return func(d *Domains) *Leaf { return d.Root.Leaf(cn, opts...) }
}

// sipUsages gives the certificate these usages and id-kp-sipDomain.
func sipUsages(usages ...x509.ExtKeyUsage) Option {
	return Template(func(c *x509.Certificate) {
		c.ExtKeyUsage, c.UnknownExtKeyUsage = usages, []asn1.ObjectIdentifier{SIPDomain}
	})
}

// Address is the wanted address of the case with an iPAddress.
const Address = "127.0.0.1"

// Cases are in the order of their numbers.
var Cases = []Case{
	{ID: "8", Shows: "DNS `example.com`", Wanted: "example.com", Mint: of("gw", DNS("example.com")),
		Why: "a DNS name is a SIP domain where no `sip:` URI is (RFC 5922 §7.1)"},
	{ID: "9", Shows: "CN `example.com`, no subjectAltName", Wanted: "example.com", Mint: of("example.com", CommonNameOnly()),
		Server: "name_in_common_name", Client: "name_in_common_name", Why: "RFC 6216 accepts it; RFC 5922 §7.1 leaves it to us, and we do not unless told to"},
	{ID: "9a", Shows: "CN `example.com`, no subjectAltName", Wanted: "example.com", Policy: "common_name: true", Mint: of("example.com", CommonNameOnly()),
		Server: Noted, Client: Noted, Why: "the policy lets the common name count where there is no subjectAltName (RFC 5922 §7.1)"},
	{ID: "9b", Shows: "CN `example.com`, DNS `other.example.net`", Wanted: "example.com", Policy: "common_name: true", Mint: of("example.com", DNS("other.example.net")),
		Server: "name_mismatch", Client: "name_mismatch", Why: "\"if and only if the subjectAltName does not appear\" (RFC 5922 §7.1), whatever the policy says"},
	{ID: "10", Shows: "no CN, IP `127.0.0.1`", Wanted: Address, Mint: of("", IP(Address)),
		Why: "a peer that is configured by its address is known by an iPAddress; no name is ever proved by one (RFC 5922 §7.5)"},
	{ID: "10a", Shows: "no CN, IP `127.0.0.1`", Wanted: "example.com", Mint: of("", IP(Address)),
		Server: "name_mismatch", Client: "name_mismatch", Why: "the name that was asked for counts, not the address that it led to (RFC 5922 §7.3)"},
	{ID: "10b", Shows: "DNS `127.0.0.1`", Wanted: Address, Mint: of("gw", DNS(Address)),
		Server: "name_mismatch", Client: "name_mismatch", Why: "an address is an iPAddress, not a dNSName (RFC 5280 §4.2.1.6)"},
	{ID: "11", Shows: "CN and DNS `other.example.net`", Wanted: "example.com", Mint: of("other.example.net"),
		Server: "name_mismatch", Client: "name_mismatch", Why: "none of its names is the one that was asked for (RFC 5922 §7.3, §7.4)"},
	{ID: "12", Shows: "DNS `example.com`, of a CA that is not trusted", Wanted: "example.com",
		Mint:   func(d *Domains) *Leaf { return d.Rogue.Leaf("gw", DNS("example.com")) },
		Server: "unknown_ca", Client: "unknown_ca", Why: "the chain ends at no trusted CA (RFC 5280 §6.1)"},
	{ID: "13", Shows: "DNS `example.com`, without its intermediate", Wanted: "example.com",
		Mint: func(d *Domains) *Leaf {
			return d.Root.Intermediate("Example Issuer").Leaf("gw", DNS("example.com")).Alone()
		},
		Server: "unknown_ca", Client: "unknown_ca", Why: "no chain leads from it to a trusted CA (RFC 5280 §6.1)"},
	{ID: "13a", Shows: "DNS `example.com`, with its intermediate", Wanted: "example.com",
		Mint: func(d *Domains) *Leaf { return d.Root.Intermediate("Example Issuer").Leaf("gw", DNS("example.com")) },
		Why:  "the chain is whole (RFC 5280 §6.1)"},
	{ID: "14", Shows: "DNS `example.com`, expired", Wanted: "example.com", Mint: of("gw", DNS("example.com"), Expired()),
		Server: "expired", Client: "expired", Why: "it is out of its time (RFC 5280 §4.1.2.5)"},
	{ID: "14a", Shows: "DNS `example.com`, not yet valid", Wanted: "example.com", Mint: of("gw", DNS("example.com"), NotYetValid()),
		Server: "not_yet_valid", Client: "not_yet_valid", Why: "it is out of its time (RFC 5280 §4.1.2.5)"},
	{ID: "15", Shows: "DNS `example.com`, revoked", Wanted: "example.com", Mint: revokedLeaf,
		Server: "revoked", Client: "revoked", Why: "its CA's list (`crls` of the trust) has it (RFC 5280 §6.3)"},
	{ID: "15a", Shows: "DNS `example.com`, of an intermediate that is revoked", Wanted: "example.com",
		Mint: func(d *Domains) *Leaf {
			issuer := d.Root.Intermediate("Revoked Issuer")
			d.revoke(issuer.Cert)
			return issuer.Leaf("gw", DNS("example.com"))
		},
		Server: "revoked", Client: "revoked", Why: "every certificate below the trusted one is looked up (RFC 5280 §6.3)"},
	{ID: "15b", Shows: "DNS `example.com`, revoked", Wanted: "example.com", Policy: "revocation: off", Mint: revokedLeaf,
		Why: "the policy does not look at revocation"},
	{ID: "15c", Shows: "DNS `example.com`", Wanted: "example.com", Policy: "revocation: hard", Mint: of("gw", DNS("example.com")),
		Why: "its CA's list is fresh and does not have it (RFC 5280 §6.3)"},
	{ID: "15d", Shows: "DNS `example.com`, of an intermediate whose list is not there", Wanted: "example.com", Policy: "revocation: hard",
		Mint:   func(d *Domains) *Leaf { return d.Root.Intermediate("Silent Issuer").Leaf("gw", DNS("example.com")) },
		Server: "revocation_unknown", Client: "revocation_unknown", Why: "the policy demands that it is known; without it the certificate is accepted, as 13a"},
	{ID: "16", Shows: "DNS `example.com`, EKU clientAuth", Wanted: "example.com", Mint: of("gw", DNS("example.com"), Usages(clientAuth)),
		Server: "wrong_usage", Why: "it must only be used for what it names (RFC 5280 §4.2.1.12, RFC 5922 §7.1)"},
	{ID: "16a", Shows: "DNS `example.com`, EKU serverAuth", Wanted: "example.com", Mint: of("gw", DNS("example.com"), Usages(serverAuth)),
		Client: "wrong_usage", Why: "the same of a client: it is a certificate for servers alone (RFC 5280 §4.2.1.12)"},
	{ID: "16b", Shows: "DNS `example.com`, EKU serverAuth", Wanted: "example.com", Policy: "server_usage: true", Mint: of("gw", DNS("example.com"), Usages(serverAuth)),
		Client: Noted, Why: "the policy takes it from a client, as public CAs issue no other any more"},
	{ID: "16c", Shows: "DNS `example.com`, EKU emailProtection", Wanted: "example.com", Policy: "server_usage: true", Mint: of("gw", DNS("example.com"), Usages(x509.ExtKeyUsageEmailProtection)),
		Server: "wrong_usage", Client: "wrong_usage", Why: "it is for mail, and no policy makes it one for TLS (RFC 5280 §4.2.1.12)"},
	{ID: "16d", Shows: "DNS `example.com`, no EKU", Wanted: "example.com", Mint: of("gw", DNS("example.com"), Usages()),
		Why: "without the extension it is not restricted (RFC 5280 §4.2.1.12)"},
	{ID: "16e", Shows: "DNS `example.com`, of an intermediate with EKU emailProtection", Wanted: "example.com",
		Mint: func(d *Domains) *Leaf {
			return d.Root.Intermediate("Mail Issuer", Usages(x509.ExtKeyUsageEmailProtection)).Leaf("gw", DNS("example.com"))
		},
		Server: "wrong_usage", Client: "wrong_usage", Why: "a CA for mail makes nobody a SIP server; OpenSSL and NSS say the same"},
	{ID: "17", Shows: "DNS `example.com`, EKU serverAuth and clientAuth", Wanted: "example.com", Policy: "require_sip_domain: true", Mint: of("gw", DNS("example.com")),
		Server: "not_for_sip", Client: "not_for_sip", Why: "neither id-kp-sipDomain nor anyExtendedKeyUsage (RFC 5924 §4); without that policy it is accepted, as 8"},
	{ID: "17a", Shows: "DNS `example.com`, no EKU", Wanted: "example.com", Policy: "require_sip_domain: true", Mint: of("gw", DNS("example.com"), Usages()),
		Why: "RFC 5924 §4 leaves it to local policy, and calls accepting the more interoperable one"},
	{ID: "17b", Shows: "DNS `example.com`, EKU anyExtendedKeyUsage", Wanted: "example.com", Policy: "require_sip_domain: true", Mint: of("gw", DNS("example.com"), Usages(x509.ExtKeyUsageAny)),
		Why: "RFC 5924 §4 leaves it to local policy, and any use is this one too"},
	{ID: "17c", Shows: "DNS `example.com`, EKU id-kp-sipDomain", Wanted: "example.com", Policy: "require_sip_domain: true", Mint: of("gw", DNS("example.com"), sipUsages()),
		Why: "it is one for SIP domains, in both roles (RFC 5924 §4)"},
	{ID: "18", Shows: "DNS `*.example.com`", Wanted: "a.example.com", Mint: of("gw", DNS("*.example.com")),
		Server: "wildcard_name", Client: "wildcard_name", Why: "\"MUST NOT match any form of wildcard\" (RFC 5922 §7.2)"},
	{ID: "18a", Shows: "DNS `*.example.com`", Wanted: "a.example.com", Policy: "wildcards: true", Mint: of("gw", DNS("*.example.com")),
		Server: Noted, Client: Noted, Why: "the policy lets a wildcard stand for one left-most label (RFC 9525 §6.3)"},
	{ID: "18b", Shows: "DNS `*.example.com`", Wanted: "b.a.example.com", Policy: "wildcards: true", Mint: of("gw", DNS("*.example.com")),
		Server: "name_mismatch", Client: "name_mismatch", Why: "for one label, not for two (RFC 9525 §6.3)"},
	{ID: "19", Shows: "URI `sip:example.com`, DNS `other.example.com`", Wanted: "example.com", Mint: of("gw", URI("sip:example.com"), DNS("other.example.com")),
		Why: "a `sip:` URI without a user is a SIP domain (RFC 5922 §7.1)"},
	{ID: "19a", Shows: "URI `sip:example.com`, DNS `other.example.com`", Wanted: "other.example.com", Mint: of("gw", URI("sip:example.com"), DNS("other.example.com")),
		Server: "name_mismatch", Client: "name_mismatch", Why: "DNS names count \"if and only if no other identity is found\" (RFC 5922 §7.1)"},
	{ID: "20", Shows: "URI `sip:user@example.com`", Wanted: "example.com", Mint: of("gw", URI("sip:user@example.com")),
		Server: "name_mismatch", Client: "name_mismatch", Why: "it names a user, not a domain (RFC 5922 §7.1)"},
	{ID: "21", Shows: "URI `sips:example.com`", Wanted: "example.com", Mint: of("gw", URI("sips:example.com")),
		Server: "name_mismatch", Client: "name_mismatch", Why: "only the scheme `sip` counts (RFC 5922 §7.1)"},
	{ID: "22", Shows: "DNS `example.com`, EKU serverAuth and id-kp-sipDomain", Wanted: "example.com", Mint: of("gw", DNS("example.com"), sipUsages(serverAuth)),
		Why: "id-kp-sipDomain is for both roles (RFC 5924 §4); OpenSSL and crypto/tls ask clients for clientAuth and refuse it"},
	{ID: "23", Shows: "DNS `example.com`", Wanted: "foo.example.com", Mint: of("gw", DNS("example.com")),
		Server: "name_mismatch", Client: "name_mismatch", Why: "names match in their entirety (RFC 5922 §7.2)"},
	{ID: "23a", Shows: "DNS `foo.example.com`", Wanted: "example.com", Mint: of("gw", DNS("foo.example.com")),
		Server: "name_mismatch", Client: "name_mismatch", Why: "\"MUST NOT match suffixes\" (RFC 5922 §7.2)"},
	{ID: "24", Shows: "DNS `EXAMPLE.COM`", Wanted: "example.com", Mint: of("gw", DNS("EXAMPLE.COM")),
		Why: "names are compared without regard to case (RFC 5922 §7.2, RFC 4343)"},
	{ID: "25", Shows: "URI `sip:example.com`, of an intermediate that permits URIs of `example.com`", Wanted: "example.com",
		Mint: func(d *Domains) *Leaf {
			permitted := Template(func(c *x509.Certificate) { c.PermittedURIDomains = []string{"example.com"} })
			return d.Root.Intermediate("Constrained Issuer", permitted).Leaf("gw", URI("sip:example.com"))
		},
		Server: "name_constraint", Client: "name_constraint", Why: "RFC 5280 §4.2.1.10 applies such a constraint to URIs with an authority part, which `sip:` URIs have not: it can hold for none of them"},
}
