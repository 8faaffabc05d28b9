// The documents of the API that are not about calls, as docs/reference/api.md describes them.

import type { Step, Verdict } from './model'

export interface Status {
  version: string
  started: string
  uptime_seconds: number
  state: string
  configuration: {
    file: string; version: string; loaded: string; reloads: number; needs_restart: string[]
    refused: { at: string; by: string; problems: Problem[]; in_use: string[] } | null
    watched: boolean; renewals: number; renewed: string | null
  }
  listeners: { name: string; transport: string; address: string; advertised: string }[]
  calls: number
  limits: { listener: string; reason: string; times: number }[]
  alarms: { name: string; since: string; text: string; remedy: string; severity: 'notice' | 'warning' | 'critical' }[]
}

export interface Problem { file: string; line: number; column: number; what: string; why?: string; remedy?: string }

/** A problem in one sentence, with its place first. */
export const problemText = (p: Problem) =>
  [`${p.file}${p.line ? `:${p.line}:${p.column}` : ''}: ${p.what}`, p.why, p.remedy].filter(Boolean).join(', ')

/** The answer to a reload. */
export interface Reloaded {
  taken: boolean
  version: string
  problems: Problem[]
  needs_restart: string[]
  in_use: string[]
  changes: { of: string; old: { subject: string; fingerprint: string; until: string }[]; new: { subject: string; fingerprint: string; until: string }[] }[]
  failing: { connection: number; peer: string; remote: string; why: string; remedy: string; calls: number[]; evicted: boolean }[]
}

export interface Load { calls: number; most_calls: number; most_rate: number; began: number; answered: number; failed: number; limited: number }

export interface Peer {
  name: string
  uri: string
  transport: string
  up: boolean
  down: { since: string; until: string; why: string } | null
  connections: number
  kept: { state: string; since: string; next: string | null; failures: number; cause: string } | null
  in: Load
  out: Load
}

export interface Connection {
  id: number
  transport: string
  inbound: boolean
  listener: string
  local: string
  remote: string
  peer: string
  names: string[]
  notes: string[]
  opened: string
  retired: boolean
  failing: string
  alias: string
  calls: number[]
  tls: { version: string; suite: string; group: string; mutual: boolean; resumed: boolean; handshake_us: number } | null
}

export interface Ending {
  kind: string
  name: string
  subject: string
  issuer: string
  from: string
  ends: string
  days: number
  file: string
  used: string[]
  sha256: string
}

/** A step in the record of a handshake, which names its fields as callflow.Step does. */
export type RecordedStep = Omit<Step, 'step' | 'from' | 'alert'> & {
  name: string; by_gateway: boolean; since_ns: number; alert?: { fatal: boolean; code: number; name: string }
}

export interface Handshake {
  id: string
  connection: number
  at: string
  took_ns: number
  role: 'client' | 'server'
  transport: string
  local: string
  remote: string
  listener: string
  peer: string
  address: string
  outcome: 'good' | 'refused' | 'failed' | 'open'
  by: string
  code: string
  sentence: string
  remedy: string
  repeats: number
  steps: RecordedStep[] | null
  offered: { versions: string[] | null; suites: string[] | null; groups: string[] | null; signature_algorithms: string[] | null; alpn: string[] | null; server_name: string; resumption: boolean }
  chosen: { version: string; suite: string; group: string; alpn: string; hello_retry: boolean; resumed: boolean }
  asked: boolean
  asked_cas: string[] | null
  our_chain: string[] | null
  peer_chain: string[] | null
  names_found: string[] | null
  names_wanted: string[] | null
  verdicts: (Omit<Verdict, 'by'> & { by_gateway: boolean })[] | null
}
