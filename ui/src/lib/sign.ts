// Signing in and out.

import { ask, getJSON } from './api'
import { session, type SessionDocument } from './session.svelte'

const path = '/api/v1/session'

/** Asks what one may do here. */
export async function whoAmI(): Promise<void> {
  session.take(await getJSON<SessionDocument>(path))
}

/** Signs in; a token that is none of the gateway's is an ApiError with status 403. */
export async function signIn(token: string): Promise<void> {
  session.take(await getJSON<SessionDocument>(path, { method: 'POST', body: JSON.stringify({ token: token.trim() }), headers: { 'Content-Type': 'application/json' } }))
}

/** Signs out, and loads the page again, so that nothing of what it showed is left in it. */
export async function signOut(): Promise<void> {
  await ask(path, { method: 'DELETE' })
  location.reload()
}
