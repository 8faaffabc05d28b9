// A document of the API that a page shows: asked for when the page opens, and again every few seconds while somebody looks.

import { ApiError, getJSON } from './api'
import { session } from './session.svelte'

export class Resource<T> {
  value = $state.raw<T | null>(null)
  error = $state.raw<ApiError | null>(null)

  /** Called while a component is made; what it asks for may depend on the address. */
  constructor(path: () => string, every = 4000) {
    $effect(() => {
      void session.turn
      const at = path()
      const over = new AbortController()
      const load = async () => {
        if (document.hidden) return
        try {
          const v = await getJSON<T>(at, { signal: over.signal })
          this.value = v
          this.error = null
        } catch (e) {
          if (!over.signal.aborted) this.error = e instanceof ApiError ? e : new ApiError(0, String(e))
        }
      }
      void load()
      const timer = every > 0 ? window.setInterval(() => void load(), every) : 0
      return () => {
        over.abort()
        window.clearInterval(timer)
      }
    })
  }
}
