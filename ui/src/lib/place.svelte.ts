// Where in the page one is. All of it stands in the fragment of the address: #/call/41/row/17?filter=…&tls=B&tab=timing.
// So back and forward work, a link shows what its sender saw, and none of it is sent to the server.

export interface Place {
  page: string
  call: string
  row: number
  filter: string
  /** Hops whose handshake is open, by name; null: those that failed. */
  tls: string[] | null
  tab: string
  time: string
  /** On a narrow screen: the inspector is what one sees. */
  inspect: boolean
  /** What a page looks for: a peer, a reason. */
  find: string
}

const tabs = ['ladder', 'timing', 'raw']
const nowhere: Place = { page: 'calls', call: '', row: 0, filter: '', tls: null, tab: 'ladder', time: 'delta', inspect: false, find: '' }

export function placeOf(hash: string): Place {
  const [path = '', search = ''] = hash.replace(/^#/, '').split('?', 2)
  const words = path.split('/').filter(Boolean).map(decoded)
  const q = new URLSearchParams(search)
  const p: Place = { ...nowhere }
  if (words[0] === 'call' && words[1]) {
    p.call = words[1]
    if (words[2] === 'row') p.row = Math.max(0, Math.trunc(Number(words[3])) || 0)
  } else if (words[0]) {
    p.page = words[0]
  }
  p.filter = q.get('filter') ?? ''
  p.find = q.get('find') ?? ''
  p.tab = tabs.find((t) => t === q.get('tab')) ?? 'ladder'
  p.time = q.get('time') ?? 'delta'
  p.inspect = q.has('inspect')
  const tls = q.get('tls')
  p.tls = tls === null ? null : tls.split('.').filter(Boolean)
  return p
}

const decoded = (s: string) => {
  try {
    return decodeURIComponent(s)
  } catch {
    return s
  }
}

export function hashOf(p: Place): string {
  let path = `#/${encodeURIComponent(p.page)}`
  if (p.call) path = `#/call/${encodeURIComponent(p.call)}${p.row ? `/row/${p.row}` : ''}`
  const q = new URLSearchParams()
  if (p.filter) q.set('filter', p.filter)
  if (p.find) q.set('find', p.find)
  if (p.call) {
    if (p.tab !== 'ladder') q.set('tab', p.tab)
    if (p.tls) q.set('tls', p.tls.join('.'))
    if (p.time !== 'delta') q.set('time', p.time)
    if (p.inspect) q.set('inspect', '')
  }
  const text = q.toString().replace('inspect=', 'inspect')
  return text ? `${path}?${text}` : path
}

class Address {
  now = $state.raw<Place>(placeOf(location.hash))

  constructor() {
    window.addEventListener('hashchange', () => (this.now = placeOf(location.hash)))
    window.addEventListener('popstate', () => (this.now = placeOf(location.hash)))
  }

  /** Goes there; a step back leads here again. */
  go(change: Partial<Place>): void {
    this.set(change, true)
  }

  /** Says the same place more exactly; a step back leads to where one was before. */
  amend(change: Partial<Place>): void {
    this.set(change, false)
  }

  private set(change: Partial<Place>, push: boolean): void {
    const next = { ...this.now, ...change }
    const hash = hashOf(next)
    this.now = next
    if (hash === location.hash) return
    if (push) history.pushState(null, '', hash)
    else history.replaceState(null, '', hash)
  }
}

export const address = new Address()

/** Another call: what was open and marked in the last one is not for it. */
export const openCall = (id: string, row = 0): Partial<Place> => ({ page: 'calls', call: id, row, tls: null, tab: 'ladder', inspect: false })
