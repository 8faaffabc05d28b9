// The documents of the API, as docs/reference/api.md and flow-json.md describe them. Times are RFC 3339 in UTC,
// fields that end in _us are microseconds.

export type State =
  | 'ringing' | 'answered' | 'ended' | 'busy' | 'cancelled' | 'refused' | 'failed'
  | 'sending' | 'delivered' | 'unanswered' | 'subscribed'

/** A call as the list shows it. */
export interface Summary {
  id: string
  number: number
  state: State
  sentence: string
  from: string
  to: string
  start: string
  duration_us: number
  setup_us: number
  done: boolean
  peers: string[] | null
  legs: number
  security: string
  hops: string[] | null
  findings: string[] | null
  reason: string
  live: boolean
}

export interface SummaryList { version: number; flows: Summary[]; next: string; dropped: number }

/** What the stream tells once a second. */
export interface Pulse { calls: number; connections: number; failed: number; refused: number; ring: number; dropped: number }

/** Flows as JSON, version 1. */
export interface FlowDocument { version: number; gateway?: string; calls: Call[] }

export interface Call {
  id: string
  state: State
  sentence: string
  start: string
  from: string
  to: string
  done?: boolean
  duration_us?: number
  joins?: Join[] | null
  session?: string
  security?: Security | null
  lifelines: Lifeline[]
  legs: Leg[]
  events: Event[]
  findings?: Finding[] | null
  related?: Relation[] | null
}

/** Why two legs are of one call; score is how sure that is, of 100. */
export interface Join { a: string; b: string; evidence: string; score: number; words?: string }

/** How two messages differ, header by header. */
export interface DiffDocument {
  a: { row: number }
  b: { row: number }
  changes: { part: string; name: string; op: 'changed' | 'added' | 'removed'; a: string; b: string }[]
  same: string[]
}

export interface Lifeline { name: string; address: string; gateway?: boolean }

export interface Security {
  word: string
  why: string
  hops: { direction: string; peer: string; sips: boolean; transport: string; tls: TLS | null; known_by: string; plain: boolean }[]
  claims: string[]
}

export interface Leg { name: string; direction: 'in' | 'out'; peer: string; call_id: string; lifeline?: number; hop: Hop }

export interface Hop {
  connection: number
  transport: string
  local: string
  remote: string
  inbound?: boolean
  listener?: string
  peer?: string
  opened?: string
  refused?: boolean
  reused?: { age_us: number; call?: number } | null
  tls: TLS | null
  handshake: Step[]
  verdicts: Verdict[]
}

export interface TLS { version: string; suite: string; group: string; mutual: boolean; peer_names: string[]; resumed: boolean }

export interface Step {
  at_us?: number
  at?: string
  from?: 'peer' | 'gateway'
  step: string
  number?: number
  encrypted?: boolean
  version?: string
  offered?: string[]
  suite?: string
  group?: string
  server_name?: string
  alert?: string
  alert_code?: number
  alert_fatal?: boolean
  length?: number
  note?: string
  certificate?: Certificate | null
}

export interface Certificate {
  subject: string
  issuer: string
  names: string[] | null
  not_before: string
  not_after: string
  self_signed?: boolean
  chain?: number
}

export interface Verdict {
  by: 'gateway' | 'peer'
  accepted: boolean
  undecided?: boolean
  known_by: string
  code: string
  reason: string
  remedy: string
}

export type RowKind =
  | 'connection' | 'reused' | 'handshake' | 'data' | 'sip' | 'hop' | 'cause' | 'remedy' | 'route' | 'timeout' | 'note'

/** One row of a ladder. */
export interface Event {
  row: number
  seq?: number
  at?: string
  at_us: number
  kind: RowKind
  from: string
  to: string
  from_line: number
  to_line: number
  label: string
  note?: string
  leg?: string
  number?: number
  bad?: boolean
  open?: boolean
  took_us?: number
  repeat?: number
  raw?: string
  raw_base64?: string
  step?: number | Step | null
}

export interface Finding {
  code: string
  severity: 'problem' | 'warning' | 'hint'
  sentence: string
  rows: number[]
  remedy: string
  reference?: string
}

export interface Relation { kind: string; flow: string; row: number }
