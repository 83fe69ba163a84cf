/** What a server said last in its log, which may have grown for months. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { stripVTControlCharacters } from 'node:util'

const PREFIX = 'pmufs: '
/** No more of a log is looked at: what ended a server stands at its end. */
const TAIL = 65_536

/** The end of what stands behind `from` in a file; behind its start, where it was cut meanwhile. */
function tail(path: string, from: number): string {
  const fd = openSync(path, 'r')
  try {
    const { size } = fstatSync(fd)
    const wanted = from > size ? 0 : from
    const start = Math.max(wanted, size - TAIL)
    const bytes = Buffer.alloc(size - start)
    const text = bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, start))
    // The first line may have begun before.
    return start > wanted ? text.slice(text.indexOf('\n') + 1) : text
  } finally {
    closeSync(fd)
  }
}

/** What a server said last, of what stands behind `from` in its log: its errors, else its last line. */
export function lastWords(path: string, from: number): string | undefined {
  const lines = stripVTControlCharacters(tail(path, from))
    .split('\n')
    .filter(line => line.trim() !== '')
  const errors = lines.filter(line => line.startsWith(PREFIX)).map(line => line.slice(PREFIX.length))
  return errors.length > 0 ? errors.slice(-2).join('; ') : lines.at(-1)
}
