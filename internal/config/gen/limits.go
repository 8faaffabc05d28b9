package main

import (
	"bytes"
	"fmt"

	"github.com/sallyport-sip/sallyport/internal/config"
)

const limitsHead = `<!-- Made by go generate from internal/config. Do not edit. -->

# Limits

What somebody sends to the gateway can make it hold no more than these limits allow. Passing one is refused, dropped or
ends the connection, and is counted under its reason: ` + "`sallyport status`" + ` shows the counts, the metric
` + "`sallyport_limits_passed_total{listener, reason}`" + ` has them, and the log says each at most once a minute. What each key means is in
[config.md](config.md). A reload changes them for the next connections and messages, and closes nothing;
only ` + "`waiting` and `transactions`" + ` need a restart, which the reload says.

## Of each listener

` + "`listeners.NAME.limits`" + `. A source is an IPv4 address or an IPv6 /64. Messages a second are those of who is no peer, except
` + "`messages_per_peer`" + `: each peer has that for itself, so nobody behind the same address takes it away. Connections that the
gateway makes have the defaults. Who is no peer gets five answers 403, then one in 12 seconds, and is counted as ` + "`not_a_peer`" + `.

`

const limitsTable = "| key | default | what happens | reason |\n|---|---|---|---|\n"

const limitsBound = `
## Memory

All of them used up at once, with the defaults:

| what | how many | bytes of each | MiB |
|---|---|---|---|
`

const limitsTail = `
What lies in between is not in the sum: the program itself and its recorder (some 40 MiB), live calls, whose number the limits
of peers bound, and what waits on connections of peers that do not read, each at most ` + "`pending`" + ` bytes before it counts as
` + "`limits.pending`" + `. Nobody but a configured peer makes transactions or lets answers wait. The tests
` + "`TestBadConnectionsAreCheap`, `TestRestingTLSConnectionIsSmall` and `TestTransactionsAreSmall`" + ` measure the bytes of each, and
` + "`TestHostile`" + ` the memory of the built binary under a thousand bad connections; ` + "`TestAttacks`" + ` holds it to the sum of limits
of its own and 40 MiB under one attack after the other, while an established peer gets every answer.
`

// renderLimits returns the page of limits.
func renderLimits() []byte {
	var b bytes.Buffer
	table := func(rows []config.LimitRow) {
		b.WriteString(limitsTable)
		for _, r := range rows {
			fmt.Fprintf(&b, "| `%s` | %s | %s | `%s` |\n", r.Key, r.Default, r.Passing, r.Reason)
		}
	}
	b.WriteString(limitsHead)
	table(config.ListenerLimitRows())
	b.WriteString("\n## Of all listeners together\n\n`limits`.\n\n")
	table(config.TotalLimitRows())
	b.WriteString(limitsBound)
	rows, sum := config.DefaultTotalLimits().Bound()
	for _, r := range rows {
		fmt.Fprintf(&b, "| `%s` | %d | %d | %d |\n", r.What, r.Count, r.Each, r.Count*r.Each>>20)
	}
	fmt.Fprintf(&b, "| together | | | %d |\n", sum>>20)
	b.WriteString(limitsTail)
	return b.Bytes()
}
