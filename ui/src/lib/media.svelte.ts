// Whether the screen is so narrow that list, ladder and inspector stand behind each other.

const query = window.matchMedia('(max-width: 760px)')

class Screen {
  narrow = $state(query.matches)

  constructor() {
    query.addEventListener('change', () => (this.narrow = query.matches))
  }
}

export const screen = new Screen()
