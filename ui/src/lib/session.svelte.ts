// Who is logged in. The token lives as long as the tab and is sent to the gateway only.

const key = 'sallyport.token'

class Session {
  token = $state(sessionStorage.getItem(key) ?? '')
  needed = $state(false)
  wrong = $state(false)
  /** Counts logins, so that what failed for want of one is asked for again. */
  turn = $state(0)

  refused(): void {
    this.wrong = this.token !== ''
    this.needed = true
    this.forget()
  }

  login(token: string): void {
    this.token = token.trim()
    sessionStorage.setItem(key, this.token)
    this.needed = false
    this.turn++
  }

  forget(): void {
    this.token = ''
    sessionStorage.removeItem(key)
  }
}

export const session = new Session()
