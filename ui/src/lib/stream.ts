// Server-sent events with resume, over fetch: an EventSource says nothing of why it failed, and cannot be given where
// to go on. The format is that of the HTML standard: "event:", "data:" and "id:" lines, an empty line ends an event.

import { ApiError, ask } from './api'

export interface Told { event: string; data: string; id: string }

/** Takes text as it comes and gives whole events. */
export class EventParser {
  lastId = ''
  private rest = ''
  private event = ''
  private data: string[] = []

  push(text: string): Told[] {
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop() ?? ''
    const told: Told[] = []
    for (const line of lines) {
      if (line !== '') {
        this.field(line)
        continue
      }
      if (this.data.length > 0) told.push({ event: this.event || 'message', data: this.data.join('\n'), id: this.lastId })
      this.event = ''
      this.data = []
    }
    return told
  }

  private field(line: string): void {
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'event') this.event = value
    else if (name === 'data') this.data.push(value)
    else if (name === 'id') this.lastId = value
  }
}

export interface Listener {
  told: (t: Told) => void
  /** Up or not; when not, why and in how many milliseconds it is tried again. */
  state: (up: boolean, why: string, again: number) => void
}

const firstWait = 500
const longestWait = 15_000
/** The gateway tells its status every second: a stream that is silent for so long is dead. */
const silence = 20_000

/** Follows a stream from the event after `lastId` until the returned function is called, and takes it up again where it broke. */
export function follow(path: () => string, l: Listener, lastId = ''): () => void {
  const over = new AbortController()
  void (async () => {
    let wait = firstWait
    while (!over.signal.aborted) {
      let why = 'the gateway has closed the stream'
      try {
        await listen(path(), lastId, over.signal, l, (id) => {
          lastId = id
          wait = firstWait
        })
      } catch (e) {
        if (over.signal.aborted) return
        why = e instanceof Error ? e.message : String(e)
        if (e instanceof ApiError && (e.status === 401 || e.status === 400)) {
          l.state(false, why, 0)
          return
        }
      }
      l.state(false, why, wait)
      await pause(wait, over.signal)
      wait = Math.min(wait * 2, longestWait)
    }
  })()
  return () => over.abort()
}

async function listen(path: string, lastId: string, signal: AbortSignal, l: Listener, got: (id: string) => void): Promise<void> {
  const dead = new AbortController()
  const both = AbortSignal.any([signal, dead.signal])
  const headers: Record<string, string> = { Accept: 'text/event-stream' }
  if (lastId) headers['Last-Event-ID'] = lastId
  const answer = await ask(path, { signal: both, headers })
  if (!answer.body) return
  l.state(true, '', 0)
  const parser = new EventParser()
  parser.lastId = lastId
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  let timer = 0
  try {
    for (;;) {
      timer = window.setTimeout(() => dead.abort(new Error('nothing was heard from the gateway for 20 s')), silence)
      const { value, done } = await reader.read()
      window.clearTimeout(timer)
      if (done) return
      for (const t of parser.push(value)) {
        got(t.id)
        l.told(t)
      }
    }
  } finally {
    window.clearTimeout(timer)
    dead.abort()
  }
}

const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>((done) => {
    const timer = window.setTimeout(done, ms)
    signal.addEventListener('abort', () => {
      window.clearTimeout(timer)
      done()
    })
  })
