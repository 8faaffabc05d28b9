// The call that is open: loaded once, then replaced by what the stream tells.

import { ApiError, getJSON } from './api'
import type { Call, FlowDocument } from './model'

class OpenCall {
  id = $state('')
  call = $state.raw<Call | null>(null)
  gateway = $state('')
  error = $state.raw<ApiError | null>(null)
  /** Whoever opened the call goes on in its ladder. */
  wantsFocus = false
  private asked = ''

  async open(id: string): Promise<void> {
    if (id === this.asked) return
    this.asked = id
    this.id = id
    this.error = null
    try {
      const d = await getJSON<FlowDocument>(`/api/v1/flows/${encodeURIComponent(id)}`)
      if (this.asked === id) this.take(d)
    } catch (e) {
      if (this.asked !== id) return
      this.call = null
      this.asked = ''
      this.error = e instanceof ApiError ? e : new ApiError(0, String(e))
    }
  }

  /** A document that the stream told, if it is of this call. */
  told(d: FlowDocument): void {
    const c = d.calls[0]
    if (c && (c.id === this.asked || c.id === this.call?.id)) this.take(d)
  }

  private take(d: FlowDocument): void {
    const c = d.calls[0] ?? null
    this.call = c
    this.gateway = d.gateway ?? ''
    this.error = c ? null : new ApiError(404, 'the gateway knows no such call')
  }
}

export const open = new OpenCall()
