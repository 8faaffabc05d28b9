package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/certfile"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// askWithin bounds how long a live server may take to show its certificate.
const askWithin = 10 * time.Second

// shownLive is what a server showed besides its certificates.
type shownLive struct {
	Address string `json:"address"` // that answered
	Version string `json:"version"`
	Asked   bool   `json:"asked_for_certificate"` // it wants one of its clients
}

func (l *shownLive) draw(w io.Writer, s style) {
	s.row(w, "server", l.Address+" over "+l.Version, "")
	if l.Asked {
		s.row(w, "asks", "clients for a certificate of theirs", "")
	}
	fmt.Fprintln(w)
}

// material reads a file, or asks a server: a name that is no file and has the form of HOST:PORT or of a SIP URI.
func (a *app) material(ctx context.Context, name string, secret []byte) (material, error) {
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		if host, port, ok := server(name); ok {
			return ask(ctx, name, host, port)
		}
	}
	c, err := trust.ReadContents(name, secret)
	return material{Contents: c}, passwordHint(err)
}

// passwordHint adds the remedy that only a command line has.
func passwordHint(err error) error {
	if errors.Is(err, certfile.ErrNoPassword) {
		return fmt.Errorf("%w: --password-file FILE or --password-env NAME", err)
	}
	return err
}

// server understands HOST:PORT, and a SIP URI with or without a port.
func server(name string) (host, port string, ok bool) {
	uri := false
	for _, scheme := range []string{"sips:", "sip:"} {
		if len(name) > len(scheme) && strings.EqualFold(name[:len(scheme)], scheme) {
			name, _, _ = strings.Cut(name[len(scheme):], ";")
			name, uri = name[strings.LastIndexByte(name, '@')+1:], true
			break
		}
	}
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		if !uri {
			return "", "", false
		}
		return strings.Trim(name, "[]"), "", name != ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return host, port, err == nil && n > 0 && host != ""
}

// ask connects to a server and returns the chain that it shows, whether or not anybody would believe it.
func ask(ctx context.Context, name, host, port string) (material, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	target, port := where(ctx, host, port)
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(target, port))
	if err != nil {
		v := trust.ExplainDial(err)
		return material{}, fmt.Errorf("%s: %s, %s", name, v.Reason, v.Remedy)
	}
	defer conn.Close()
	seen := &shownLive{Address: conn.RemoteAddr().String()}
	var certs []*x509.Certificate
	config := &tls.Config{
		MinVersion:         tls.VersionTLS10, // whoever is old shows its certificate too
		InsecureSkipVerify: true,             // it is looked at here, not believed
		VerifyConnection: func(st tls.ConnectionState) error {
			certs, seen.Version = st.PeerCertificates, tls.VersionName(st.Version)
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			seen.Asked = true
			return new(tls.Certificate), nil
		},
	}
	if _, err := netip.ParseAddr(host); err != nil {
		config.ServerName = strings.TrimSuffix(host, ".")
	}
	err = tls.Client(conn, config).HandshakeContext(ctx)
	if len(certs) == 0 { // an error after them, because we have none to show, does not matter
		v := trust.Explain(err, trust.Client, trust.Facts{})
		say := v[0]
		for _, one := range v {
			if !one.Accepted && one.Code != trust.NotJudged {
				say = one
			}
		}
		return material{}, fmt.Errorf("%s: it showed no certificate: %s, %s", name, say.Reason, say.Remedy)
	}
	c := &certfile.Contents{}
	for _, cert := range certs {
		c.Items = append(c.Items, certfile.Item{Cert: cert})
	}
	return material{c, seen}, nil
}

// where finds the server of a SIP URI without a port: by its SRV record, or at port 5061 (RFC 3263 §4.2).
func where(ctx context.Context, host, port string) (string, string) {
	if port != "" {
		return host, port
	}
	if _, err := netip.ParseAddr(host); err != nil {
		if _, srv, err := net.DefaultResolver.LookupSRV(ctx, "sips", "tcp", host); err == nil && len(srv) > 0 {
			return srv[0].Target, strconv.Itoa(int(srv[0].Port))
		}
	}
	return host, "5061"
}
