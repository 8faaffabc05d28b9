package config

import (
	"fmt"
	"slices"
)

// checks is every section's check, in the order of the sections.
var checks = []func(*Config, *report){
	checkListeners,
	checkIdentities,
	checkTrust,
	checkPolicies,
	checkDefaults,
	checkProfiles,
	checkPeers,
	checkTotalLimits,
	checkRoutes,
	checkResolver,
	checkAdmin,
	checkCollectors,
	checkHistory,
	checkWebhooks,
	checkShipments,
}

// Check judges a complete Config as a whole: what is missing, what contradicts,
// what refers to something that is not defined. Parse has done it.
func Check(cfg *Config) []Problem {
	r := report{file: cfg.File}
	for _, check := range checks {
		check(cfg, &r)
	}
	SortProblems(r.problems)
	return r.problems
}

// named is an element of a section whose keys are names.
type named interface {
	Listener | Identity | Trust | Policy | Profile | Peer | Webhook | Shipment
}

// find returns the element called name, nil when there is none.
func find[E named](all []E, name string) *E {
	for i := range all {
		if nameOf(&all[i]) == name {
			return &all[i]
		}
	}
	return nil
}

func nameOf[E named](e *E) string {
	switch e := any(e).(type) {
	case *Listener:
		return e.Name
	case *Identity:
		return e.Name
	case *Trust:
		return e.Name
	case *Policy:
		return e.Name
	case *Profile:
		return e.Name
	case *Peer:
		return e.Name
	case *Webhook:
		return e.Name
	case *Shipment:
		return e.Name
	}
	return ""
}

// checkName says whether name is defined, and reports it when it is not. kind
// is the word for what it names.
func checkName[E named](r *report, label, kind string, at Pos, name string, all []E) bool {
	if find(all, name) != nil {
		return true
	}
	if r.full() {
		return false
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = nameOf(&all[i])
	}
	why := fmt.Sprintf("there is no such %s", kind)
	if len(names) > 0 {
		why = fmt.Sprintf("there is %s", list(names, "and"))
	}
	r.add(at, fmt.Sprintf("%s: %s %s is not defined", label, kind, quote(name)), why,
		suggest(name, names, "define it, or remove the name"))
	return false
}

// checkTwice reports names that a list has twice.
func checkTwice(r *report, label, key string, at Place, names []string) {
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		if twice := seen[name]; !twice {
			seen[name] = true
		} else {
			r.add(at.AtItem(key, i), fmt.Sprintf("%s: %s stands twice in %q", label, quote(name), key), "", "remove one of them")
		}
	}
}

func contains(names []string, name string) bool { return slices.Contains(names, name) }
