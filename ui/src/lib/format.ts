// Times and figures in words. All take microseconds or RFC 3339.

/** A span as the terminal writes it: 0.4ms, 31ms, 2.4s, 1m12s. */
export function span(us: number): string {
  const ms = us / 1000
  if (ms < 0) return '-' + span(-us)
  if (ms < 10) return ms.toFixed(1) + ' ms'
  if (ms < 1000) return Math.round(ms) + ' ms'
  const s = ms / 1000
  if (s < 10) return s.toFixed(1) + ' s'
  if (s < 60) return Math.round(s) + ' s'
  const m = Math.floor(s / 60)
  if (m < 60) return `${m} m ${pad(Math.floor(s % 60))} s`
  return `${Math.floor(m / 60)} h ${pad(m % 60)} m`
}

const pad = (n: number, to = 2) => String(n).padStart(to, '0')

/** The id of a flow without the run of the gateway: 41, conn-5. */
export const shortId = (id: string): string => id.replace(/^[^-]*-(?=\d+$|conn-|leg-)/, '')

/** The time of day with milliseconds, in the reader's zone. */
export function clock(at: string | Date, fraction = 3): string {
  const d = new Date(at)
  if (Number.isNaN(d.getTime())) return ''
  const text = `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`
  return fraction ? `${text}.${pad(d.getMilliseconds(), 3)}` : text
}

/** The day, and with it the time. */
export function day(at: string | Date): string {
  const d = new Date(at)
  if (Number.isNaN(d.getTime())) return ''
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}`
}

export function moment(at: string | null | undefined): string {
  return at && !at.startsWith('0001') ? `${day(at)} ${clock(at, 0)}` : ''
}

/** How long ago, or how long until, in the coarsest unit that says enough. */
export function away(at: string, now = Date.now()): string {
  const s = Math.abs(new Date(at).getTime() - now) / 1000
  if (s < 90) return `${Math.round(s)} s`
  if (s < 90 * 60) return `${Math.round(s / 60)} min`
  if (s < 36 * 3600) return `${Math.round(s / 3600)} h`
  return `${Math.round(s / 86400)} d`
}

export const count = (n: number, one: string, many = one + 's') => `${n.toLocaleString('en')} ${n === 1 ? one : many}`
