// The list of calls: what was loaded, kept up to date by the stream. Rows are plain objects in one array, which is put in
// place as a whole, so that ten thousand of them cost nothing until they are on the screen.

import { ApiError, getJSON, query } from './api'
import type { FlowDocument, Pulse, Summary, SummaryList } from './model'
import { follow } from './stream'

const firstPage = 200
const nextPage = 1000
/** More than this are not kept: a filter finds what lies further back. */
const most = 50_000

class Calls {
  rows = $state.raw<Summary[]>([])
  loading = $state(false)
  loaded = $state(false)
  error = $state.raw<ApiError | null>(null)
  pulse = $state.raw<Pulse | null>(null)
  up = $state(true)
  why = $state('')
  again = $state(0)
  paused = $state(false)
  /** Changes that came while the view was frozen. */
  missed = $state(0)
  /** More lie in the history. */
  next = $state('')
  /** The open ladder as the stream told it last. */
  told = $state.raw<FlowDocument | null>(null)
  filter = ''

  private flow = ''
  private lastId = '' // of the stream, for this filter
  private waiting: { changed: Map<string, Summary>; gone: Set<string> } = { changed: new Map(), gone: new Set() }
  private stop: (() => void) | null = null
  private turn = 0
  private fresh = false // the list has just been loaded
  private stale = false // the stream could not be taken up where it broke

  /** Follows the calls that the filter wants, and the one that is open. */
  async open(filter: string, flow: string): Promise<void> {
    const other = filter !== this.filter || !this.loaded
    if (!other && flow === this.flow && this.stop) return
    this.flow = flow
    this.filter = filter
    if (other) { // what is still told is of the filter before
      this.stop?.()
      this.stop = null
    }
    if (other && !(await this.load())) return
    this.listen()
  }

  /** Follows nothing, and forgets what was told: nobody is signed in. */
  close(): void {
    this.stop?.()
    this.stop = null
    this.turn++
    this.loaded = false
    this.rows = []
    this.pulse = null
    this.told = null
    this.forgetWaiting()
  }

  /** Loads the newest calls; false when it was refused or overtaken. */
  async load(): Promise<boolean> {
    const turn = ++this.turn
    if (!this.stop) this.lastId = ''
    this.loading = true
    try {
      const list = await getJSON<SummaryList>('/api/v1/flows' + query({ filter: this.filter, limit: firstPage }))
      if (turn !== this.turn) return false
      this.rows = list.flows ?? []
      this.next = list.next ?? ''
      this.error = null
      this.loaded = true
      this.stale = false
      this.fresh = true
      this.forgetWaiting()
      return true
    } catch (e) {
      if (turn === this.turn) this.error = e instanceof ApiError ? e : new ApiError(0, String(e))
      return false
    } finally {
      if (turn === this.turn) this.loading = false
    }
  }

  /** Loads what lies further back. */
  async more(): Promise<void> {
    if (this.loading || !this.next || this.rows.length >= most) return
    const turn = this.turn
    this.loading = true
    try {
      // The stream may have told all of a page already.
      for (let added = 0; added === 0 && this.next; ) {
        const list = await getJSON<SummaryList>('/api/v1/flows' + query({ filter: this.filter, limit: nextPage, before: this.next }))
        if (turn !== this.turn) return
        const have = new Set(this.rows.map((r) => r.id))
        const older = list.flows.filter((f) => !have.has(f.id))
        this.rows = this.rows.concat(older)
        this.next = list.next ?? ''
        added = older.length
      }
    } catch (e) {
      if (turn === this.turn) this.next = ''
      this.why = e instanceof Error ? e.message : String(e)
    } finally {
      if (turn === this.turn) this.loading = false
    }
  }

  pause(frozen: boolean): void {
    this.paused = frozen
    if (frozen) return
    if (this.stale) void this.load()
    else this.apply()
  }

  private listen(): void {
    this.stop?.()
    this.stop = follow(() => '/api/v1/stream' + query({ filter: this.filter, flow: this.flow }), {
      told: (t) => {
        this.lastId = t.id
        this.take(t.event, t.data)
      },
      state: (up, why, again) => {
        this.up = up
        this.why = why
        this.again = again
      },
    }, this.lastId)
  }

  private take(event: string, data: string): void {
    if (event === 'status') this.pulse = JSON.parse(data) as Pulse
    else if (event === 'flow') this.told = JSON.parse(data) as FlowDocument
    else if (event === 'reset') this.reset()
    else if (event === 'flows') {
      this.fresh = false
      const d = JSON.parse(data) as { changed: Summary[] | null; gone: string[] | null }
      for (const s of d.changed ?? []) {
        this.waiting.changed.set(s.id, s)
        this.waiting.gone.delete(s.id)
      }
      for (const id of d.gone ?? []) {
        this.waiting.changed.delete(id)
        this.waiting.gone.add(id)
      }
      if (this.paused) this.missed = this.waiting.changed.size + this.waiting.gone.size
      else this.apply()
    }
  }

  /** What was told before is not continued: all that memory has follows. A frozen view stays as it is until it goes on. */
  private reset(): void {
    const fresh = this.fresh
    this.fresh = false
    if (fresh) return
    if (this.paused) this.stale = true
    else void this.load()
  }

  private apply(): void {
    const { changed, gone } = this.waiting
    if (changed.size + gone.size === 0) return
    const kept: Summary[] = []
    for (const r of this.rows) {
      if (gone.has(r.id)) continue
      const now = changed.get(r.id)
      if (now) changed.delete(r.id)
      kept.push(now ?? r)
    }
    const fresh = [...changed.values()].sort(newestFirst)
    this.rows = merge(fresh, kept).slice(0, most)
    this.forgetWaiting()
  }

  private forgetWaiting(): void {
    this.waiting = { changed: new Map(), gone: new Set() }
    this.missed = 0
  }
}

const newestFirst = (a: Summary, b: Summary) => timeOf(b) - timeOf(a) || b.number - a.number

/** Nanoseconds stand in the text, with zeros left out at its end, so that texts cannot be compared. */
const timeOf = (s: Summary) => Date.parse(s.start)

/** Both are sorted, and the fresh ones are few and nearly always the newest. */
function merge(fresh: Summary[], kept: Summary[]): Summary[] {
  const all: Summary[] = []
  let i = 0
  for (const k of kept) {
    for (let f = fresh[i]; f && newestFirst(f, k) <= 0; f = fresh[++i]) all.push(f)
    if (i === fresh.length) return all.concat(kept.slice(all.length - i))
    all.push(k)
  }
  return all.concat(fresh.slice(i))
}

export const calls = new Calls()
