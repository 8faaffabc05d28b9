// Light, dark, or as the system says, which is how it begins.

export type Theme = 'system' | 'light' | 'dark'
const key = 'sallyport.theme'
const all: Theme[] = ['system', 'light', 'dark']

class Choice {
  now = $state<Theme>(all.find((t) => t === localStorage.getItem(key)) ?? 'system')

  apply(): void {
    if (this.now === 'system') delete document.documentElement.dataset['theme']
    else document.documentElement.dataset['theme'] = this.now
  }

  turn(): void {
    this.now = all[(all.indexOf(this.now) + 1) % all.length] ?? 'system'
    localStorage.setItem(key, this.now)
    this.apply()
  }
}

export const theme = new Choice()
