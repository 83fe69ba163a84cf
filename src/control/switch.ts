/** On and off as the kernel reads them from a file. Counterpart: lib/kstrtox.c, kstrtobool(). */
import { ErrnoError } from '../abi/errno.js'

const words: readonly (readonly [RegExp, boolean])[] = [
  [/^[yYtT1]/, true],
  [/^[nNfF0]/, false],
  [/^[oO][nN]/, true],
  [/^[oO][fF]/, false],
]

/** Reads a switch: 1, y, t, on; 0, n, f, off. Throws EINVAL on anything else. */
export function parseSwitch(text: string): boolean {
  const found = words.find(([pattern]) => pattern.test(text))
  if (!found) throw new ErrnoError('EINVAL', `Cannot read "${text.trim()}" as a switch: write 1 or 0`)
  return found[1]
}
