package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/certfile"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// verified is the document of cert verify --json.
type verified struct {
	Subject  string      `json:"subject"`
	By       string      `json:"by"` // whose trust and names it was judged by
	Chain    []string    `json:"chain"`
	Accepted bool        `json:"accepted"`          // in every role that was asked for
	Verdicts []verdictAs `json:"verdicts"`          // by role
	Notes    []finding   `json:"notes"`             // what works today, and may not tomorrow or everywhere
	Missing  string      `json:"missing,omitempty"` // the issuer whose certificate is not there
	URL      string      `json:"url,omitempty"`     // where that is, as the certificate says
	Fetched  []string    `json:"fetched,omitempty"` // what --fetch brought
}

// verdictAs is what a peer makes of the certificate in one role.
type verdictAs struct {
	As       string    `json:"as"`
	Accepted bool      `json:"accepted"`
	Failures []finding `json:"failures"`
}

// finding is one thing that is wrong, and what to do.
type finding struct {
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy,omitempty"`
}

// verifying holds what cert verify was asked for.
type verifying struct {
	app    *app
	as     string
	trust  []string
	system bool
	names  []string
	config string
	peer   string
	fetch  bool
	secret password
	json   *bool
}

func certVerify(a *app) *cobra.Command {
	v := &verifying{app: a}
	c := &cobra.Command{
		Use:   "verify FILE... {--trust FILE | --system | --peer NAME}",
		Short: "Tell whether a peer would accept a certificate",
		Long: "Verify judges a certificate as a peer would that trusts what --trust or --system\n" +
			"says and wants the --names: chain, names by RFC 5922, usage for the role, order,\n" +
			"missing parts, lifetime, key and signature. It names everything that is wrong at\n" +
			"once, each with a remedy. With --peer it is the other way round: would our\n" +
			"gateway accept it of that peer, by exactly its trust and policy in --config.\n" +
			"Nothing is fetched unless --fetch is there.",
		Example: "  sallyport cert verify gw.pem gw-key.pem --as server --trust partner-ca.pem \\\n" +
			"      --names gw.example\n" +
			"  sallyport cert verify gw.pem --system --names sbc.example.com --fetch\n" +
			"  sallyport cert verify acme.pem --config sallyport.yaml --peer acme --as client",
		Args: func(c *cobra.Command, files []string) error {
			if len(files) == 0 {
				return usagef("name the file with the certificate, and those with its intermediates")
			}
			return nil
		},
	}
	exits(c, "it would be accepted", "it would be refused, or could not be read")
	f := c.Flags()
	f.StringVar(&v.as, "as", "both", "`ROLE`: TLS role in which it is shown: client, server or both")
	f.StringSliceVar(&v.trust, "trust", nil, "`FILE`: what the peer trusts; may be repeated")
	f.BoolVar(&v.system, "system", false, "the peer trusts the authorities that this system does")
	f.StringSliceVar(&v.names, "names", nil, "`NAME`: SIP domain or address of which it must be for one; may be repeated")
	f.StringVar(&v.config, "config", "", configUsage)
	f.StringVar(&v.peer, "peer", "", "`NAME`: peer of the configuration, by whose trust, names and policy it is judged")
	f.BoolVar(&v.fetch, "fetch", false, "fetch a missing intermediate from where the certificate says it is")
	v.secret.flags(c, "", "encrypted keys and PKCS #12 files")
	v.json = jsonFlag(c)
	c.RunE = func(c *cobra.Command, files []string) error {
		if err := checkNames(c, v.names); err != nil {
			return err
		}
		return v.run(c.Context(), files)
	}
	return c
}

// checkNames refuses --names that no certificate could be for, and such without any: an empty variable of a script must
// not make every name do.
func checkNames(c *cobra.Command, names []string) error {
	if c.Flags().Changed("names") && len(names) == 0 {
		return usagef("--names is empty: write a domain name or address, as in pbx.example, or leave it out")
	}
	for _, name := range names {
		if name != "" && !strings.ContainsAny(name, ":*/@ ") {
			continue
		}
		if _, err := netip.ParseAddr(name); err != nil {
			return usagef("--names %q is no domain name or address, as in pbx.example", name)
		}
	}
	return nil
}

func (v *verifying) run(ctx context.Context, files []string) error {
	roles, ok := map[string][]trust.Role{"client": {trust.Client}, "server": {trust.Server}, "both": {trust.Server, trust.Client}}[v.as]
	if !ok {
		return usagef("--as %q is not client, server or both", v.as)
	}
	policy, by, err := v.policy()
	if err != nil {
		return err
	}
	got, err := v.chain(ctx, files)
	if err != nil {
		return err
	}
	chain := got.sorted()
	doc := verified{Subject: trust.Subject(chain[0]), By: by, Notes: []finding{}}
	for _, c := range got.certs {
		doc.Chain = append(doc.Chain, trust.Subject(c))
	}
	if v.fetch {
		if chain, doc.Fetched, err = v.complete(ctx, policy, chain, roles[0]); err != nil {
			return err
		}
	}
	v.judge(&doc, policy, chain, got, roles)
	if *v.json {
		err = v.app.writeJSON(doc)
	} else {
		doc.draw(v.app.stdout, v.app.style(v.app.stdout))
	}
	if err == nil && !doc.Accepted {
		err = errReported
	}
	return err
}

// policy returns that of the peer, and whose it is in words.
func (v *verifying) policy() (*trust.Policy, string, error) {
	if v.peer != "" {
		if len(v.trust) > 0 || v.system || len(v.names) > 0 {
			return nil, "", usagef("--peer brings its own trust and names: leave out --trust, --system and --names")
		}
		return v.peerPolicy()
	}
	if v.config != "" {
		return nil, "", usagef("--config is for --peer: name the peer too")
	}
	if len(v.trust) == 0 && !v.system {
		return nil, "", usagef("say what the peer trusts: --trust FILE or --system; or name a peer of the configuration with --peer")
	}
	var certs []*x509.Certificate
	for _, file := range v.trust {
		more, err := trust.ReadCertificates(file)
		if err != nil {
			return nil, "", err
		}
		certs = append(certs, more...)
	}
	what := slices.Clone(v.trust)
	if v.system {
		what = append(what, "this system's authorities")
	}
	anchors, err := trust.NewAnchors(strings.Join(v.trust, ", "), certs, v.system)
	if err != nil {
		return nil, "", fmt.Errorf("the system's authorities cannot be read: %w", err)
	}
	by := "a peer that trusts " + strings.Join(what, ", ")
	if len(v.names) > 0 {
		by += " and wants " + strings.Join(v.names, " or ")
	}
	rules := new(config.Config).PolicyOf("")
	rules.Revocation = config.RevocationOff // nobody is asked
	return &trust.Policy{Who: "the gateway", Anchors: anchors, Names: v.names, AnyName: len(v.names) == 0, Rules: rules}, by, nil
}

func (v *verifying) peerPolicy() (*trust.Policy, string, error) {
	path, err := v.app.configFile(v.config)
	if err != nil {
		return nil, "", err
	}
	cfg, problems := config.Load(path)
	if len(problems) > 0 {
		return nil, "", v.app.report(problems)
	}
	set, problems := v.app.gatewayOptions().TLS.Load(cfg)
	if len(problems) > 0 {
		return nil, "", v.app.report(problems)
	}
	policy := set.PeerPolicy(v.peer)
	if policy == nil {
		var known []string
		for _, p := range cfg.Peers {
			if set.PeerPolicy(p.Name) != nil {
				known = append(known, p.Name)
			}
		}
		text := fmt.Sprintf("--peer %q is no peer with TLS in %s; there are: %s", v.peer, path, strings.Join(known, ", "))
		if near, ok := config.Nearest(v.peer, known); ok {
			text += fmt.Sprintf(" (did you mean %q?)", near)
		}
		return nil, "", usagef("%s", text)
	}
	return policy, fmt.Sprintf("our gateway, of peer %q in %s", v.peer, path), nil
}

// presented is what the files hold.
type presented struct {
	certs  []*x509.Certificate // in the order in which they stand
	key    crypto.Signer       // nil: there is none
	locked bool                // there is one, and its password is not known
}

// sorted returns the chain in the right order, as far as there is one.
func (p presented) sorted() []*x509.Certificate {
	if c, _ := trust.Misplaced(p.certs); c == nil {
		return p.certs
	}
	b, err := trust.Arrange(p.certs, nil)
	if err != nil && p.key != nil {
		b, err = trust.Arrange(p.certs, p.key)
	}
	if err != nil {
		return p.certs
	}
	return b.Chain
}

// chain reads what the files hold.
func (v *verifying) chain(ctx context.Context, files []string) (p presented, err error) {
	known, err := v.secret.read(v.app)
	if err != nil {
		return p, err
	}
	for _, name := range files {
		m, err := v.app.material(ctx, name, known)
		if err != nil {
			return p, err
		}
		p.certs = append(p.certs, m.Certs()...)
		p.locked = p.locked || m.Locked()
		if keys := m.Keys(); len(keys) > 0 {
			p.key = keys[0]
		}
	}
	if len(p.certs) == 0 {
		return p, fmt.Errorf("%s: there is no certificate to verify: name the file that holds it", strings.Join(files, ", "))
	}
	return p, nil
}

// complete fetches missing intermediates, until the chain leads to what the policy trusts or nothing more is to be had.
func (v *verifying) complete(ctx context.Context, policy *trust.Policy, chain []*x509.Certificate, as trust.Role) ([]*x509.Certificate, []string, error) {
	var fetched []string
	for range 4 { // longer chains are refused anyway
		open := v.open(policy, chain, as)
		if open == nil {
			break
		}
		issuer, err := fetchIssuer(ctx, open)
		if err != nil {
			return nil, nil, err
		}
		fetched = append(fetched, trust.Subject(issuer)+" from "+issuerURL(open))
		if trust.IsSelfSigned(issuer) { // a root; that it can be fetched makes it no more trusted
			break
		}
		chain = append(chain, issuer)
	}
	return chain, fetched, nil
}

// open returns the certificate at which the way to a trusted one ends, nil when there is a way or it ends in a root.
func (v *verifying) open(policy *trust.Policy, chain []*x509.Certificate, as trust.Role) *x509.Certificate {
	refusals, _ := policy.Refusals(chain, as)
	broken := slices.ContainsFunc(refusals, func(r *trust.Refusal) bool {
		return r.Code == trust.UnknownCA || r.Code == trust.MissingIntermediate
	})
	if !broken {
		return nil
	}
	b, err := trust.Arrange(append(chain[:1:1], chain[1:]...), nil)
	if err != nil || b.Complete() {
		return nil
	}
	return b.Last()
}

// judge fills the document.
func (v *verifying) judge(doc *verified, policy *trust.Policy, chain []*x509.Certificate, got presented, roles []trust.Role) {
	always := common(chain[0], got)
	doc.Accepted = true
	for _, as := range roles {
		verdict := verdictAs{As: as.String(), Failures: slices.Clone(always)}
		refusals, leave := policy.Refusals(chain, as)
		for _, note := range leave {
			doc.Notes = append(doc.Notes, finding{"by_leave", note, "have a certificate that needs no leave"})
		}
		for _, r := range refusals {
			verdict.Failures = append(verdict.Failures, finding{string(r.Code), r.Reason, r.Remedy})
		}
		verdict.Accepted = len(verdict.Failures) == 0
		doc.Accepted = doc.Accepted && verdict.Accepted
		doc.Verdicts = append(doc.Verdicts, verdict)
	}
	if open := v.open(policy, chain, roles[0]); open != nil {
		doc.Missing, doc.URL = trust.Issuer(open), issuerURL(open)
	}
	doc.Notes = append(doc.Notes, notes(chain, policy)...)
	if got.locked && got.key == nil {
		doc.Notes = append(doc.Notes, finding{"key_locked", "the private key is encrypted, so whether it belongs to the certificate was not looked at", "name its password with --password-file FILE or --password-env NAME"})
	}
}

// common finds what is wrong in every role: what the file has besides what a policy judges.
func common(leaf *x509.Certificate, got presented) []finding {
	all := []finding{}
	if got.key != nil && !certfile.Belongs(got.key, leaf.PublicKey) {
		all = append(all, finding{string(trust.KeyMismatch), "the key does not belong to certificate " + trust.Subject(leaf),
			"name the key that the certificate was made with, or have a new certificate made"})
	}
	if c, next := trust.Misplaced(got.certs); c != nil {
		all = append(all, finding{"wrong_order", fmt.Sprintf("%s comes after %s and did not sign it, which strict peers refuse (RFC 5246 §7.4.2)", trust.Subject(next), trust.Subject(c)),
			"put them in order: sallyport cert bundle FILE... --out NEW"})
	}
	for _, c := range got.certs {
		for _, why := range weak(c) {
			all = append(all, finding{"weak", "certificate " + trust.Subject(c) + ": " + why, "have a new one made, with a key of ECDSA P-256 or RSA 2048 and SHA-256"})
		}
	}
	return all
}

// notes are what works today, and may not tomorrow or everywhere.
func notes(chain []*x509.Certificate, policy *trust.Policy) []finding {
	var all []finding
	const soon = 30
	for _, c := range chain {
		left := showCert(c)
		if now := time.Now(); !now.After(c.NotAfter) && left.DaysLeft < soon {
			all = append(all, finding{"expires_soon", fmt.Sprintf("certificate %s: %s left", left.Subject, dayCount(left.DaysLeft)), "renew it in time"})
		}
	}
	if last := chain[len(chain)-1]; len(chain) > 1 && trust.IsSelfSigned(last) {
		all = append(all, finding{"root_sent", trust.Subject(last) + " is a root: peers have it or do not believe it, and need not be sent it", "leave it out: sallyport cert bundle FILE... --out NEW"})
	}
	if policy.Rules.Revocation != config.RevocationOff {
		all = append(all, finding{"revocation", "whether it was revoked was looked up in the CRLs of the trust alone; OCSP answers come with a handshake", "try it: sallyport probe"})
	}
	if policy.AnyName {
		all = append(all, finding{"no_name", "no name was asked for, and peers ask for one; it is for " + domaincert.Describe(domaincert.Names(chain[0])), "name it with --names"})
	}
	return all
}

// draw writes the verdicts.
func (d verified) draw(w io.Writer, s style) {
	fmt.Fprintln(w, s.paint(bold, s.plain(d.Subject)))
	s.row(w, "judged by", d.By, "")
	for i, c := range d.Chain {
		s.row(w, []string{"shown", "then"}[min(i, 1)], c, "")
	}
	for _, f := range d.Fetched {
		s.row(w, "fetched", f, yellow)
	}
	for i, v := range d.Verdicts {
		label := "as " + v.As
		if i > 0 && slices.Equal(v.Failures, d.Verdicts[i-1].Failures) {
			continue
		}
		if i+1 < len(d.Verdicts) && slices.Equal(v.Failures, d.Verdicts[i+1].Failures) {
			label = "both roles"
		}
		fmt.Fprintln(w)
		if v.Accepted {
			s.row(w, label, "it would be accepted", green)
			continue
		}
		s.row(w, label, "it would be refused", red)
		for _, f := range v.Failures {
			f.draw(w, s, "because", red)
		}
	}
	if d.Missing != "" || len(d.Notes) > 0 {
		fmt.Fprintln(w)
	}
	if d.Missing != "" {
		s.row(w, "missing", "the certificate of "+d.Missing, yellow)
		if d.URL != "" {
			s.row(w, "", "the one before says where it is: "+d.URL, "")
		}
	}
	for _, f := range d.Notes {
		f.draw(w, s, "note", yellow)
	}
}

func (f finding) draw(w io.Writer, s style, what, colour string) {
	s.row(w, what, f.Reason, colour)
	if f.Remedy != "" {
		s.row(w, "so", f.Remedy, "")
	}
}
