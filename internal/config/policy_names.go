package config

import "fmt"

// checkPolicyNames finds rules about certificates of which one leaves the other
// nothing to say.
func checkPolicyNames(r *report, p *Policy) {
	if p.RequireSIPDomain && p.ServerUsage && !p.Broken("require_sip_domain") && !p.Broken("server_usage") {
		r.add(p.At("server_usage"), fmt.Sprintf("policy %q: server_usage beside require_sip_domain", p.Name),
			"a certificate for servers alone lacks sipDomain, so it would be refused all the same", "leave one of the two out")
	}
}
