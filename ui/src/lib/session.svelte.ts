// Who is signed in. The token goes to the gateway once and is kept nowhere: from then on a cookie that no script reads says who
// asks, and what is here is only what the gateway lets them do. lib/sign.ts asks for it.

export type Role = 'none' | 'reader' | 'operator'

/** The document of /api/v1/session. */
export interface SessionDocument { role: Role; needs_token: boolean; operators: boolean; until: string | null }

class Session {
  /** Null until the gateway has said it. */
  now = $state.raw<SessionDocument | null>(null)
  /** Somebody who may look already wants to do more. */
  wanted = $state(false)
  /** Counts sign-ins, so that what failed for want of one is asked for again. */
  turn = $state(0)

  readonly needed = $derived(this.now?.role === 'none')
  readonly operator = $derived(this.now?.role === 'operator')
  /** There is something to sign out of. */
  readonly begun = $derived(this.operator || (this.now?.role === 'reader' && this.now.needs_token))
  /** Signing in with another token would let one act. */
  readonly couldAct = $derived(this.now?.role === 'reader' && this.now.operators)

  take(d: SessionDocument): void {
    this.now = d
    this.wanted = false
    this.turn++
  }

  /** The session is over: its time, a reload with another token, a restart of the gateway. */
  refused(): void {
    if (this.now) this.now = { ...this.now, role: 'none', needs_token: true }
  }
}

export const session = new Session()
