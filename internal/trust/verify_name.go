package trust

import "github.com/sallyport-sip/sallyport/sip/domaincert"

// name compares the identities of the leaf with the names of the policy (RFC 5922 §7.2).
func (v *verification) name() *Refusal {
	if v.AnyName {
		return nil
	}
	match, err := domaincert.Match(v.certs[0], v.Names, v.Match)
	if err != nil {
		w := v.words(v.certs[0])
		w.detail = clean(err.Error(), 400)
		return w.refusal(NameMismatch, err)
	}
	v.match = match
	return nil
}
