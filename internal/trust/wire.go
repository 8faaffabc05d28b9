package trust

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/tlswire"
)

// Wire is what the wire showed of a handshake that came to nothing, and what our side would have taken: the evidence of a verdict. All
// of it may be missing.
type Wire struct {
	tlswire.State
	Read  bool   // somebody read it
	Last  string // name of the last message that was seen; empty: none
	Ours  bool   // we sent it
	Side  OurSide
	Clock string // why our own clock may be wrong; empty: nothing says so
}

// OurSide is how our side speaks TLS on a connection.
type OurSide struct {
	Config  *tls.Config         // nil: not known
	Known   []*x509.Certificate // intermediates in our own files
	Anchors *Anchors            // by which we judge the peer; nil: not known
}

// OurSide returns how we speak TLS with who calls a listener, or, when it is empty, with a peer that we call.
func (s *Set) OurSide(listener, peer string) OurSide {
	side := s.peers[peer]
	if listener != "" {
		side = s.listeners[listener]
	}
	if side == nil {
		return OurSide{}
	}
	return OurSide{Config: side.config, Known: side.policy.known, Anchors: side.policy.Anchors}
}

// follows says what comes after a message, by the version and who sent it. RFC 8446 §2, RFC 5246 §7.3; a server asks for a certificate
// or does not, so that some have two.
var follows = map[string]string{
	"ClientHello": "ServerHello", "HelloRetryRequest": "ClientHello",

	"1.3 server ServerHello": "EncryptedExtensions", "1.3 server EncryptedExtensions": "Certificate",
	"1.3 server CertificateRequest": "Certificate", "1.3 server Certificate": "CertificateVerify", "1.3 server CertificateVerify": "Finished",
	"1.3 server Finished": "Finished", "1.3 client Certificate": "CertificateVerify", "1.3 client CertificateVerify": "Finished",

	"1.2 server ServerHello": "Certificate", "1.2 server Certificate": "ServerKeyExchange", "1.2 server ServerKeyExchange": "ServerHelloDone",
	"1.2 server CertificateRequest": "ServerHelloDone", "1.2 server ServerHelloDone": "ClientKeyExchange",
	"1.2 client Certificate": "ClientKeyExchange", "1.2 client ClientKeyExchange": "ChangeCipherSpec",
	"1.2 client CertificateVerify": "ChangeCipherSpec", "1.2 client ChangeCipherSpec": "Finished", "1.2 client Finished": "ChangeCipherSpec",
	"1.2 server NewSessionTicket": "ChangeCipherSpec", "1.2 server ChangeCipherSpec": "Finished",
}

// due is the message that was to come next; empty when that cannot be told.
func (w *Wire) due(we Role) string {
	from := we
	if !w.Ours {
		from = we.other()
	}
	version := "1.2"
	if w.Version == "1.3" {
		version = "1.3"
	}
	next := follows[fmt.Sprintf("%s %s %s", version, from, w.Last)]
	switch {
	case w.Last == "":
		return "ClientHello"
	case next == "":
		return follows[w.Last]
	case w.ClientCertificateRequested && w.Last == "Finished" && from == Server, w.ClientCertificateRequested && w.Last == "ServerHelloDone":
		return "Certificate"
	}
	return next
}

func (r Role) other() Role {
	if r == Client {
		return Server
	}
	return Client
}

// place says at which step it ended, as the end of a sentence.
func (w *Wire) place(we Role) string {
	who := "its"
	if w.Ours {
		who = "our"
	}
	switch next := w.due(we); {
	case !w.Read:
		return ""
	case w.Last == "" && we == Server:
		return " before it sent anything of TLS"
	case w.Last == "":
		return ""
	case next == "":
		return fmt.Sprintf(" after %s %s", who, w.Last)
	default:
		return fmt.Sprintf(" after %s %s, when %s was due", who, w.Last, next)
	}
}

// exactly makes a decision of ours exact by what the wire showed.
func (w *Wire) exactly(code Code, detail string, we Role, f Facts) (Code, string) {
	switch code {
	case Stalled:
		return code, w.stalled(we)
	case NoCommonVersion:
		return code, detail + w.taken("TLS ", w.versions())
	case NoCommonSuite:
		if we == Server && w.Offer != nil && len(w.Offer.Groups) > 0 && w.noGroup() { // who offers none has no suite that needs one
			code = NoCommonGroup
			break
		}
		return code, detail + w.keyWords(we, f)
	case NoCommonGroup:
	case NoCommonSignature:
		if kind := keyKind(f.Presented); kind != "" {
			detail += ": our key is " + kind
		}
		if we == Server && w.Offer != nil {
			detail += ", and the peer takes " + some(w.Offer.Schemes)
		} else if len(w.RequestedSchemes) > 0 {
			detail += ", and the peer takes " + some(w.RequestedSchemes)
		}
		return code, detail
	default:
		return code, detail
	}
	if we == Server && w.Offer != nil {
		return code, ": the peer offers " + some(w.Offer.Groups) + w.taken("", w.groups())
	}
	return code, ": the peer chose one that we did not offer" + w.taken("", w.groups())
}

// stalled says what did not come.
func (w *Wire) stalled(we Role) string {
	next := w.due(we)
	switch {
	case !w.Read:
		return ""
	case w.Last == "" && we == Server:
		return ": the peer connected and never sent a ClientHello"
	case w.Last == "":
		return ""
	case w.Ours && next != "":
		return fmt.Sprintf(": after our %s nothing came, and the peer's %s was due", w.Last, next)
	case next != "":
		return fmt.Sprintf(": after the peer's %s nothing more came, and its %s was due", w.Last, next)
	}
	return ": nothing came after " + w.Last
}

// taken is the end of a sentence about what we would take.
func (w *Wire) taken(before string, ours []string) string {
	if len(ours) == 0 {
		return ""
	}
	return "; we take " + before + strings.Join(ours, ", ")
}

func (w *Wire) versions() []string {
	c := w.Side.Config
	if c == nil {
		return nil
	}
	var all []string
	for v := uint16(tls.VersionTLS13); v >= tls.VersionTLS10; v-- {
		if v >= c.MinVersion && (c.MaxVersion == 0 || v <= c.MaxVersion) {
			all = append(all, tlswire.VersionID(v).String())
		}
	}
	return all
}

// usual are the groups that crypto/tls takes when nobody chooses others.
var usual = []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// groups are those that our policy names; none when it leaves the choice to crypto/tls.
func (w *Wire) groups() []string {
	var all []string
	if w.Side.Config != nil {
		for _, g := range w.Side.Config.CurvePreferences {
			all = append(all, tlswire.GroupID(g).String())
		}
	}
	return all
}

// noGroup reports whether the groups alone leave nothing to agree on.
func (w *Wire) noGroup() bool {
	ours := usual
	if c := w.Side.Config; c != nil && len(c.CurvePreferences) > 0 {
		ours = c.CurvePreferences
	}
	return !slices.ContainsFunc(w.Offer.Groups, func(g tlswire.GroupID) bool { return slices.Contains(ours, tls.CurveID(g)) })
}

// keyWords says when our key does not fit any suite that the peer offers.
func (w *Wire) keyWords(we Role, f Facts) string {
	kind := keyKind(f.Presented)
	if we != Server || w.Offer == nil || kind == "" {
		return ""
	}
	ecdsa, rsa := false, false
	for _, s := range w.Offer.Suites {
		name := s.String()
		ecdsa = ecdsa || strings.Contains(name, "_ECDSA_")
		rsa = rsa || strings.Contains(name, "_RSA_")
	}
	switch {
	case kind == "RSA" && ecdsa && !rsa:
		return "; our key is RSA, and it offers suites for ECDSA keys only"
	case kind != "RSA" && rsa && !ecdsa:
		return "; our key is " + kind + ", and it offers suites for RSA keys only"
	}
	return ""
}

func keyKind(chain []*x509.Certificate) string {
	if len(chain) == 0 {
		return ""
	}
	switch chain[0].PublicKey.(type) {
	case *rsa.PublicKey:
		return "RSA"
	case *ecdsa.PublicKey:
		return "ECDSA"
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return ""
}

// some lists a few of many.
func some[T interface{ String() string }](of []T) string {
	if len(of) == 0 {
		return "none"
	}
	words := make([]string, len(of))
	for i, v := range of {
		words[i] = v.String()
	}
	const most = 6
	if n := len(words); n > most {
		return strings.Join(words[:most], ", ") + fmt.Sprintf(" and %d more", n-most)
	}
	return strings.Join(words, ", ")
}

// fits reports whether a key can make one of the signatures; true when that is not known.
func fits(chain []*x509.Certificate, schemes []tlswire.SchemeID) bool {
	kind := keyKind(chain)
	if kind == "" || len(schemes) == 0 {
		return true
	}
	return slices.ContainsFunc(schemes, func(s tlswire.SchemeID) bool {
		switch tls.SignatureScheme(s) {
		case tls.PKCS1WithSHA1, tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512, tls.PSSWithSHA256, tls.PSSWithSHA384, tls.PSSWithSHA512:
			return kind == "RSA"
		case tls.ECDSAWithSHA1, tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512:
			return kind == "ECDSA"
		case tls.Ed25519:
			return kind == "Ed25519"
		}
		return false
	})
}

// beforeHello reports whether the handshake ended before the server had chosen anything.
func (w *Wire) beforeHello() bool { return w.Offer != nil && w.Version == "" }
