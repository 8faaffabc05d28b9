package tlswire

import (
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// VersionID is a protocol version as it stands on the wire.
type VersionID uint16

// String returns "1.3", "1.2", "1.1", "1.0", "SSL 3.0", or the number.
func (v VersionID) String() string {
	switch v {
	case 0x0304:
		return "1.3"
	case 0x0303:
		return "1.2"
	case 0x0302:
		return "1.1"
	case 0x0301:
		return "1.0"
	case 0x0300:
		return "SSL 3.0"
	}
	return fmt.Sprintf("0x%04X", uint16(v))
}

// SuiteID is a cipher suite as it stands on the wire.
type SuiteID uint16

// suiteNames is made of those that crypto/tls knows and of moreSuites.
var suiteNames = func() map[SuiteID]string {
	names := maps.Clone(moreSuites)
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		names[SuiteID(s.ID)] = s.Name
	}
	return names
}()

// moreSuites names those that crypto/tls has no name for and that are met in
// captures, in the order of their numbers.
var moreSuites = map[SuiteID]string{
	0x0033: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
	0x0039: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
	0x003D: "TLS_RSA_WITH_AES_256_CBC_SHA256",
	0x0067: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256",
	0x006B: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
	0x009E: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
	0x009F: "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
	0x00FF: "TLS_EMPTY_RENEGOTIATION_INFO_SCSV",
	0x1304: "TLS_AES_128_CCM_SHA256",
	0x1305: "TLS_AES_128_CCM_8_SHA256",
	0x5600: "TLS_FALLBACK_SCSV",
	0xC024: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
	0xC028: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
	0xC0AC: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
	0xC0AD: "TLS_ECDHE_ECDSA_WITH_AES_256_CCM",
	0xC0AE: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
	0xC0AF: "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8",
	0xCCAA: "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}

// String returns the IANA name, or the number when there is none at hand.
func (s SuiteID) String() string {
	if name, ok := suiteNames[s]; ok {
		return name
	}
	return fmt.Sprintf("0x%04X", uint16(s))
}

// GroupID is a key exchange group as it stands on the wire.
type GroupID uint16

// groups follows the IANA registry "TLS Supported Groups".
var groups = map[GroupID]string{
	0x0013: "P-192",
	0x0015: "P-224",
	0x0016: "secp256k1",
	0x0017: "P-256",
	0x0018: "P-384",
	0x0019: "P-521",
	0x001A: "brainpoolP256r1",
	0x001B: "brainpoolP384r1",
	0x001C: "brainpoolP512r1",
	0x001D: "X25519",
	0x001E: "X448",
	0x001F: "brainpoolP256r1tls13",
	0x0020: "brainpoolP384r1tls13",
	0x0021: "brainpoolP512r1tls13",
	0x0100: "ffdhe2048",
	0x0101: "ffdhe3072",
	0x0102: "ffdhe4096",
	0x0103: "ffdhe6144",
	0x0104: "ffdhe8192",
	0x0200: "MLKEM512",
	0x0201: "MLKEM768",
	0x0202: "MLKEM1024",
	0x11EB: "SecP256r1MLKEM768",
	0x11EC: "X25519MLKEM768",
	0x11ED: "SecP384r1MLKEM1024",
	0x6399: "X25519Kyber768Draft00",
}

// String returns the usual name, "P-256" for secp256r1, or the number.
func (g GroupID) String() string {
	if name, ok := groups[g]; ok {
		return name
	}
	return fmt.Sprintf("0x%04X", uint16(g))
}

// Handshake types that the parser looks into.
const (
	typeClientHello         = 1
	typeServerHello         = 2
	typeEncryptedExtensions = 8
	typeCertificate         = 11
	typeServerKeyExchange   = 12
	typeCertificateRequest  = 13
	typeServerHelloDone     = 14
	typeFinished            = 20
)

// messageNames is indexed by handshake type: RFC 8446 §4, RFC 5246 §7.4,
// RFC 4680 §2, RFC 6066 §2, RFC 8879 §4.
var messageNames = [...]string{
	0:                       "HelloRequest",
	typeClientHello:         "ClientHello",
	typeServerHello:         "ServerHello",
	3:                       "HelloVerifyRequest",
	4:                       "NewSessionTicket",
	5:                       "EndOfEarlyData",
	typeEncryptedExtensions: "EncryptedExtensions",
	typeCertificate:         "Certificate",
	typeServerKeyExchange:   "ServerKeyExchange",
	typeCertificateRequest:  "CertificateRequest",
	typeServerHelloDone:     "ServerHelloDone",
	15:                      "CertificateVerify",
	16:                      "ClientKeyExchange",
	typeFinished:            "Finished",
	21:                      "CertificateURL",
	22:                      "CertificateStatus",
	23:                      "SupplementalData",
	24:                      "KeyUpdate",
	25:                      "CompressedCertificate",
}

func messageName(typ byte) string {
	if int(typ) < len(messageNames) && messageNames[typ] != "" {
		return messageNames[typ]
	}
	return fmt.Sprintf("HandshakeType(%d)", typ)
}

// reserved reports whether v is one of the values that clients send only to
// keep servers tolerant: 0x0A0A, 0x1A1A … 0xFAFA (RFC 8701 §2).
func reserved(v uint16) bool {
	return v&0x0F0F == 0x0A0A && v>>8 == v&0xFF
}

// ephemeral reports whether the suite's ServerKeyExchange names a curve.
func ephemeral(suite string) bool {
	return strings.HasPrefix(suite, "TLS_ECDHE_")
}

// SchemeID is a signature algorithm as it stands on the wire.
type SchemeID uint16

// schemes follows the IANA registry "TLS SignatureScheme", and for what stands before
// TLS 1.3 only the hash and the algorithm of RFC 5246 §7.4.1.4.1.
var schemes = map[SchemeID]string{
	0x0201: "rsa_pkcs1_sha1", 0x0202: "dsa_sha1", 0x0203: "ecdsa_sha1",
	0x0301: "rsa_pkcs1_sha224", 0x0302: "dsa_sha224", 0x0303: "ecdsa_sha224",
	0x0401: "rsa_pkcs1_sha256", 0x0402: "dsa_sha256", 0x0403: "ecdsa_secp256r1_sha256",
	0x0501: "rsa_pkcs1_sha384", 0x0502: "dsa_sha384", 0x0503: "ecdsa_secp384r1_sha384",
	0x0601: "rsa_pkcs1_sha512", 0x0602: "dsa_sha512", 0x0603: "ecdsa_secp521r1_sha512",
	0x0804: "rsa_pss_rsae_sha256", 0x0805: "rsa_pss_rsae_sha384", 0x0806: "rsa_pss_rsae_sha512",
	0x0807: "ed25519", 0x0808: "ed448",
	0x0809: "rsa_pss_pss_sha256", 0x080A: "rsa_pss_pss_sha384", 0x080B: "rsa_pss_pss_sha512",
	0x081A: "ecdsa_brainpoolP256r1tls13_sha256", 0x081B: "ecdsa_brainpoolP384r1tls13_sha384", 0x081C: "ecdsa_brainpoolP512r1tls13_sha512",
	0x0904: "mldsa44", 0x0905: "mldsa65", 0x0906: "mldsa87",
}

// String returns the IANA name, or the number when there is none at hand.
func (s SchemeID) String() string {
	if name, ok := schemes[s]; ok {
		return name
	}
	return fmt.Sprintf("0x%04X", uint16(s))
}
