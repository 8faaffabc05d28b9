// The one place that asks the gateway. A request that is refused because nobody is signed in sets `session.needed`, and the page
// shows its form; every other failure is an ApiError with the gateway's own words.

import { session } from './session.svelte'

export class ApiError extends Error {
  status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export interface Asked { signal?: AbortSignal; headers?: Record<string, string>; method?: string; body?: string; also?: number }

/** Sends one request; the answer is a good one, or has the status `also`, whose body is as good. */
export async function ask(path: string, o: Asked = {}): Promise<Response> {
  let answer: Response
  try {
    answer = await fetch(path, { method: o.method ?? 'GET', headers: o.headers ?? {}, body: o.body ?? null, signal: o.signal ?? null, cache: 'no-store' })
  } catch (e) {
    if (o.signal?.aborted) throw e
    throw new ApiError(0, 'the gateway does not answer; is it running, and is this machine still connected to it?')
  }
  if (answer.ok || answer.status === o.also) return answer
  if (answer.status === 401) session.refused()
  throw await errorOf(answer)
}

export async function getJSON<T>(path: string, o: Asked = {}): Promise<T> {
  return (await (await ask(path, o)).json()) as T
}

/** The gateway says what is wrong as text; of a filter, with a mark below the mistake. */
async function errorOf(answer: Response): Promise<ApiError> {
  const text = (await answer.text()).trimEnd()
  return new ApiError(answer.status, text || `the gateway answered ${answer.status}`)
}

/** A query string of what is not empty. */
export function query(values: Record<string, string | number | undefined>): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(values)) if (v !== undefined && v !== '') q.set(k, String(v))
  const text = q.toString()
  return text ? '?' + text : ''
}
