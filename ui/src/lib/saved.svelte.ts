// Saved filters: those of the gateway's configuration, and one's own, which this browser keeps.

import { getJSON } from './api'

export interface Saved { name: string; filter: string; own: boolean }
const key = 'sallyport.filters'
const most = 50

class Filters {
  private own = $state.raw<Saved[]>(read())
  configured = $state.raw<Saved[]>([])
  all = $derived([...this.configured, ...this.own])

  async load(): Promise<void> {
    const d = await getJSON<{ filters: { name: string; text: string }[] }>('/api/v1/filters')
    this.configured = d.filters.map((f) => ({ name: f.name, filter: f.text, own: false }))
  }

  keep(filter: string): void {
    const name = filter.split(/\s+/)[0] ?? filter
    this.write([...this.own.filter((s) => s.filter !== filter), { name, filter, own: true }].slice(-most))
  }

  forget(name: string): void {
    this.write(this.own.filter((s) => s.name !== name))
  }

  private write(own: Saved[]): void {
    this.own = own
    localStorage.setItem(key, JSON.stringify(own))
  }
}

function read(): Saved[] {
  try {
    const all = JSON.parse(localStorage.getItem(key) ?? '[]') as unknown
    if (!Array.isArray(all)) return []
    return all.flatMap((s: unknown) => {
      const { name, filter } = (s ?? {}) as Partial<Saved>
      return typeof name === 'string' && typeof filter === 'string' ? [{ name, filter, own: true }] : []
    })
  } catch {
    return []
  }
}

export const saved = new Filters()
