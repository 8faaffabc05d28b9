// A SIP message as it stands in a recording, taken apart for showing (RFC 3261 §7). It is not checked here: the gateway
// has done that.

import type { Event } from './model'

export interface Field { name: string; value: string; weight: 'route' | 'dialog' | 'media' | 'plain' }

export interface Message { first: string; fields: Field[]; body: string }

const weights: Record<string, Field['weight']> = {
  via: 'route', v: 'route', route: 'route', 'record-route': 'route', contact: 'route', m: 'route', path: 'route',
  from: 'dialog', f: 'dialog', to: 'dialog', t: 'dialog', 'call-id': 'dialog', i: 'dialog', cseq: 'dialog',
  'content-type': 'media', c: 'media', 'content-length': 'media', l: 'media',
}

/** The text of a message row, empty for other rows. */
export function rawOf(e: Event): string {
  if (e.raw !== undefined) return e.raw
  if (!e.raw_base64) return ''
  const bytes = Uint8Array.from(atob(e.raw_base64), (c) => c.charCodeAt(0))
  return new TextDecoder('utf-8').decode(bytes)
}

export function parse(raw: string): Message {
  const end = /\r?\n\r?\n/.exec(raw)
  const head = end ? raw.slice(0, end.index) : raw
  const body = end ? raw.slice(end.index + end[0].length) : ''
  const lines = head.split(/\r?\n/)
  const fields: Field[] = []
  for (const line of lines.slice(1)) {
    const last = fields.at(-1)
    if (/^[ \t]/.test(line) && last) {
      last.value += '\n' + line
      continue
    }
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).trimStart()
    fields.push({ name, value, weight: weights[name.trim().toLowerCase()] ?? 'plain' })
  }
  return { first: lines[0] ?? '', fields, body }
}

/** Of a response row its status, 0 for anything else. */
export function statusOf(e: Event): number {
  const m = e.kind === 'sip' ? /^([1-6]\d\d)\b/.exec(e.label) : null
  return m ? Number(m[1]) : 0
}

/** Of a message row its method: of a response, that of its CSeq. */
export function methodOf(e: Event): string {
  if (e.kind !== 'sip') return ''
  if (!statusOf(e)) return /^[A-Z]+/.exec(e.label)?.[0] ?? ''
  return /^(?:CSeq)\s*:\s*\d+\s+(\S+)/im.exec(rawOf(e))?.[1] ?? ''
}
