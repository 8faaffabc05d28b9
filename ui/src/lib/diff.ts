// What differs between two texts, line by line: the shortest list of lines taken away and put in. A SIP message has a
// few hundred lines at most, so that the plain table of common lengths is small.

export interface Change { kind: 'same' | 'gone' | 'new'; text: string }

const mostLines = 2000

export function lineDiff(before: string, after: string): Change[] {
  const a = before.split(/\r?\n/).slice(0, mostLines)
  const b = after.split(/\r?\n/).slice(0, mostLines)
  const width = b.length + 1
  const common = new Uint16Array((a.length + 1) * width)
  const at = (i: number, j: number) => common[i * width + j] ?? 0
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
    }
  }
  const changes: Change[] = []
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      changes.push({ kind: 'same', text: a[i++] ?? '' })
      j++
    } else if (i < a.length && (j >= b.length || at(i + 1, j) >= at(i, j + 1))) {
      changes.push({ kind: 'gone', text: a[i++] ?? '' })
    } else {
      changes.push({ kind: 'new', text: b[j++] ?? '' })
    }
  }
  return changes
}
