// How long each part of setting up a call took, per hop, on one axis: resolving and connecting, TLS, and from the INVITE to
// 100, 18x, 2xx and ACK.

import type { Call, Event, Leg } from './model'
import { methodOf, statusOf } from './sip'

export interface Part { name: string; from_us: number; to_us: number; kind: 'dns' | 'tcp' | 'tls' | 'trying' | 'ringing' | 'answer' | 'ack'; bad?: boolean }

export interface HopTiming { leg: Leg; parts: Part[] }

export function timingOf(c: Call): { hops: HopTiming[]; end_us: number } {
  const hops = c.legs.map((leg) => ({ leg, parts: partsOf(c, leg) }))
  const end = Math.max(1, ...hops.flatMap((h) => h.parts.map((p) => p.to_us)))
  return { hops, end_us: end }
}

function partsOf(c: Call, leg: Leg): Part[] {
  const own = c.events.filter((e) => e.leg === leg.name)
  const parts: Part[] = []
  connecting(c, leg, own, parts)
  const invite = own.find((e) => e.kind === 'sip' && !statusOf(e) && e.label.startsWith('INVITE'))
  if (!invite) return parts
  const answers = own.filter((e) => statusOf(e) && (methodOf(e) === 'INVITE' || methodOf(e) === ''))
  const first = (lo: number, hi: number) => answers.find((e) => statusOf(e) >= lo && statusOf(e) <= hi && e.at_us >= invite.at_us)
  let from = invite.at_us
  const until = (name: string, kind: Part['kind'], e: Event | undefined) => {
    if (!e) return
    parts.push({ name, kind, from_us: from, to_us: e.at_us, bad: statusOf(e) >= 300 })
    from = e.at_us
  }
  until('INVITE to 100', 'trying', first(100, 100))
  const ringing = first(180, 189)
  until(`to ${ringing ? statusOf(ringing) : '18x'}`, 'ringing', ringing)
  const final = first(200, 699)
  until(`to ${final ? statusOf(final) : 'answer'}`, 'answer', final)
  until('to ACK', 'ack', final && own.find((e) => e.kind === 'sip' && e.label.startsWith('ACK') && e.at_us >= final.at_us))
  return parts
}

function connecting(c: Call, leg: Leg, own: Event[], parts: Part[]): void {
  if (leg.hop.reused) return
  const opened = own.find((e) => e.kind === 'connection')
  const hello = own.find((e) => e.kind === 'handshake')
  if (!opened) return
  if (leg.direction === 'out') {
    const route = c.events.findLast((e) => e.kind === 'route' && e.at_us <= opened.at_us)
    if (route && opened.at_us > route.at_us) parts.push({ name: 'DNS and TCP', kind: 'dns', from_us: route.at_us, to_us: opened.at_us })
  }
  if (!hello) return
  if (hello.at_us > opened.at_us) parts.push({ name: 'TCP up to ClientHello', kind: 'tcp', from_us: opened.at_us, to_us: hello.at_us })
  const up = own.find((e) => e.kind === 'hop')
  const end = up ?? own.findLast((e) => e.kind === 'handshake')
  if (end) parts.push({ name: 'TLS', kind: 'tls', from_us: hello.at_us, to_us: end.at_us, bad: end.bad })
}
