// How states, severities and hops look: a glyph beside each colour, because a colour is never the only sign.

import type { Event, State, Summary } from './model'

export type Tone = 'good' | 'bad' | 'warn' | 'live' | 'calm'

const states: Record<State, { glyph: string; tone: Tone; word: string }> = {
  ringing: { glyph: '…', tone: 'live', word: 'ringing' },
  answered: { glyph: '●', tone: 'good', word: 'answered' },
  ended: { glyph: '✓', tone: 'good', word: 'ended' },
  busy: { glyph: '⊘', tone: 'warn', word: 'busy' },
  cancelled: { glyph: '↩', tone: 'calm', word: 'cancelled' },
  refused: { glyph: '✗', tone: 'bad', word: 'refused' },
  failed: { glyph: '✗', tone: 'bad', word: 'failed' },
  sending: { glyph: '…', tone: 'live', word: 'sending' },
  delivered: { glyph: '✓', tone: 'good', word: 'delivered' },
  unanswered: { glyph: '?', tone: 'warn', word: 'unanswered' },
  subscribed: { glyph: '↻', tone: 'good', word: 'subscribed' },
}

export const stateOf = (s: State) => states[s] ?? { glyph: '·', tone: 'calm' as Tone, word: s }

/** A call that a person should look at. */
export function isProblem(c: Summary): boolean {
  return c.state === 'failed' || c.state === 'refused' || c.state === 'unanswered' || (c.findings ?? []).length > 0
}

/** How a row is drawn. */
export type Stroke = 'sip' | 'tls' | 'tcp' | 'bad'

export function strokeOf(e: Event): Stroke {
  if (e.bad) return 'bad'
  if (e.kind === 'connection' || e.kind === 'reused') return 'tcp'
  if (e.kind === 'handshake' || e.kind === 'data') return 'tls'
  return 'sip'
}

export const severities = {
  problem: { glyph: '✗', tone: 'bad' as Tone, word: 'problem' },
  warning: { glyph: '!', tone: 'warn' as Tone, word: 'warning' },
  hint: { glyph: 'i', tone: 'calm' as Tone, word: 'hint' },
}

/** What one of a call's hop words means. */
export function hopWord(h: string): string {
  if (h.startsWith('✗') || h.startsWith('x')) return `TLS ${version(h.slice(1))}, refused`
  const m = /^(1[0-3])(m?)$/.exec(h)
  if (m) return `TLS ${version(m[1] ?? '')}${m[2] ? ', both sides with a certificate' : ', server certificate only'}`
  return h === 'udp' || h === 'tcp' || h === 'ws' ? `${h.toUpperCase()}, not encrypted` : h
}

const version = (d: string) => (d.length === 2 ? `1.${d[1]}` : d)
