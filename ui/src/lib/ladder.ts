// From the rows of a call to the lines of its ladder: which hops are folded, where the cursor begins, what time stands
// beside a line. All of it is a function of the document and of what the address says.

import { clock, span } from './format'
import type { Call, Event, Leg } from './model'
import { statusOf } from './sip'

/** A line of the ladder: a row, or the one that stands for a hop's handshake. */
export interface Line {
  key: string
  event: Event
  /** Set on the line of a hop: its rows are below when open, else hidden. */
  hop?: HopLine
}

export interface HopLine { leg: Leg; open: boolean; steps: number; took_us: number; state: 'good' | 'bad' | 'open'; title: string; rows: Set<number> }

export type TimeMode = 'delta' | 'start' | 'clock' | 'scaled'
export const timeModes: TimeMode[] = ['delta', 'start', 'clock', 'scaled']
export const timeWords: Record<TimeMode, string> = {
  delta: 'since the row above', start: 'since the start', clock: 'time of day', scaled: 'gaps to scale',
}

/** The hops of a call that have a handshake, by the name of their leg. */
export const hopsOf = (c: Call) => c.legs.filter((l) => l.hop.handshake.length > 0 && !l.hop.reused).map((l) => l.name)

/** Which hops are open when nobody has said: those that failed. */
export function openByDefault(c: Call): Set<string> {
  return new Set(c.legs.filter((l) => isRefused(c, l)).map((l) => l.name))
}

const isRefused = (c: Call, l: Leg) => l.hop.refused ?? c.events.some((e) => e.leg === l.name && e.kind === 'hop' && e.bad)

const folds: Partial<Record<Event['kind'], true>> = { connection: true, handshake: true, data: true, hop: true }

/** The rows of each hop's handshake: what folds into one line. Those of a refusal's verdict never fold. */
function handshakes(c: Call): Map<string, Event[]> {
  const found = new Map<string, Event[]>()
  for (const name of hopsOf(c)) {
    const own = c.events.filter((e) => e.leg === name)
    const up = own.findIndex((e) => e.kind === 'hop')
    const first = own.findIndex((e) => e.kind === 'sip')
    const end = up >= 0 ? up + 1 : first >= 0 ? first : own.length
    const rows = own.slice(0, end).filter((e) => folds[e.kind] && !(e.kind === 'hop' && e.bad))
    if (rows.some((e) => e.kind === 'handshake')) found.set(name, rows)
  }
  return found
}

export function linesOf(c: Call, open: Set<string>): Line[] {
  const groups = handshakes(c)
  const hidden = new Map<number, string>()
  const first = new Map<number, HopLine>()
  for (const [name, rows] of groups) {
    const leg = c.legs.find((l) => l.name === name)
    if (!leg || !rows[0]) continue
    const hop = hopLine(c, leg, rows, open.has(name))
    first.set(rows[0].row, hop)
    if (!hop.open) for (const e of rows) hidden.set(e.row, name)
  }
  const lines: Line[] = []
  for (const e of c.events) {
    const hop = first.get(e.row)
    if (hop) lines.push({ key: `hop-${hop.leg.name}`, event: hopEvent(c, hop, e), hop })
    if (!hidden.has(e.row)) lines.push({ key: `row-${e.row}`, event: e })
  }
  return lines
}

function hopLine(c: Call, leg: Leg, rows: Event[], open: boolean): HopLine {
  const steps = rows.filter((e) => e.kind === 'handshake' && !/^Alert/.test(e.label)).length
  const verdict = c.events.find((e) => e.leg === leg.name && e.kind === 'hop')
  const last = rows.at(-1)
  const took = verdict?.took_us || (last?.at_us ?? 0) - (rows[0]?.at_us ?? 0)
  const state = isRefused(c, leg) ? 'bad' : !verdict || verdict.open ? 'open' : 'good'
  const tls = leg.hop.tls
  const kind = tls?.version ? `TLS ${tls.version}${tls.resumed ? ' resumed' : tls.mutual ? ' mutual' : ''}` : 'TLS'
  return { leg, open, steps, took_us: took, state, title: kind, rows: new Set(rows.map((e) => e.row)) }
}

/** The line of a hop goes between the hop's lifelines, from who opened the connection. */
function hopEvent(c: Call, hop: HopLine, first: Event): Event {
  const verdict = c.events.find((e) => e.leg === hop.leg.name && e.kind === 'hop')
  const arrow = first.from_line !== first.to_line ? first : c.events.find((e) => hop.rows.has(e.row) && e.from_line !== e.to_line)
  const lines = arrow ?? first
  const row = verdict && hop.state !== 'bad' ? verdict.row : first.row
  return { ...first, row, kind: 'handshake', from_line: lines.from_line, to_line: lines.to_line, label: hop.title, note: '' }
}

/** The line on which the cursor begins: what went wrong, else the first. */
export function failingRow(c: Call): number {
  const shown = c.findings?.find((f) => f.severity === 'problem')?.rows[0]
  const bad = c.events.filter((e) => e.bad && e.kind !== 'data')
  const refusal = bad.find((e) => e.kind === 'handshake') ?? bad.find((e) => e.kind === 'hop') ?? bad[0]
  if (refusal) return refusal.row
  if (shown) return shown
  if (c.state === 'failed' || c.state === 'busy' || c.state === 'unanswered') {
    const final = c.events.find((e) => statusOf(e) >= 300) ?? c.events.find((e) => e.kind === 'timeout')
    if (final) return final.row
  }
  return 0
}

/** The line that shows a row: its own, or that of the folded hop it belongs to. */
export function lineOfRow(lines: Line[], row: number): number {
  const exact = lines.findIndex((l) => !l.hop && l.event.row === row)
  if (exact >= 0) return exact
  return lines.findIndex((l) => l.hop && (l.hop.rows.has(row) || l.event.row === row))
}

/** What stands in the gutter of a line, given the line above. */
export function stamp(mode: TimeMode, c: Call, line: Line, above: Line | undefined): string {
  const e = line.event
  if (mode === 'clock') return clock(e.at ?? new Date(new Date(c.start).getTime() + e.at_us / 1000).toISOString())
  if (mode === 'start') return seconds(e.at_us)
  if (!above) return '0.000'
  const d = e.at_us - above.event.at_us
  return d < 50 ? '' : '+' + span(d)
}

const seconds = (us: number) => (us / 1e6).toFixed(us < 1e7 ? 4 : 3)

/** Space above a line when gaps are to scale, in pixels: it grows with the logarithm of the time. */
export function gap(line: Line, above: Line | undefined): number {
  if (!above) return 0
  const ms = (line.event.at_us - above.event.at_us) / 1000
  return ms < 1 ? 0 : Math.min(72, Math.round(14 * Math.log10(ms)))
}
