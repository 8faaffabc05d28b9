package gateway

// lookAtClock keeps an alarm while something says that the clock here is wrong: by a
// wrong clock good certificates are refused, and bad ones taken.
func (g *Gateway) lookAtClock(doubt string) {
	if doubt == "" {
		g.alarms.clear("clock")
		return
	}
	g.alarms.raise("clock", "the clock of this machine is wrong: "+doubt, "set it, by NTP or by hand; until then certificates are judged by a wrong time")
}
