package config

import "time"

// KeepKeys says until when the secrets of a peer's connections are kept. The zero value is never.
type KeepKeys struct {
	For   time.Duration // from when the configuration was loaded; 0: see Until
	Until time.Time
}

// MostKeepKeys is for how long secrets are kept at most, whatever the file says.
const MostKeepKeys = 24 * time.Hour

// On says whether they are kept at all.
func (k KeepKeys) On() bool { return k != KeepKeys{} }

// Ends says until when they are kept, when the configuration was loaded at that time.
func (k KeepKeys) Ends(loaded time.Time) time.Time {
	ends := loaded.Add(MostKeepKeys)
	switch {
	case k.For > 0:
		return loaded.Add(k.For)
	case k.Until.Before(ends):
		return k.Until
	}
	return ends
}

func (k *KeepKeys) set(text string) *fault {
	const remedy = `write a duration such as "2h", or a time such as "2026-03-01T18:00:00Z"`
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		*k = KeepKeys{Until: at}
		return nil
	}
	var d Duration
	if f := d.set(text); f != nil {
		return &fault{why: "it is neither a duration nor a time", remedy: remedy}
	}
	switch {
	case d.Duration <= 0:
		return &fault{why: "nothing would be kept", remedy: "leave the key out"}
	case d.Duration > MostKeepKeys:
		return &fault{why: "secrets are kept for 24 hours at most", remedy: "write a shorter duration"}
	}
	*k = KeepKeys{For: d.Duration}
	return nil
}
