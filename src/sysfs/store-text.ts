/**
 * How the kernel reads a word or a number that was written to an attribute: sysfs ends the buffer with a NUL byte,
 * and what parses it stops at the first one. Counterpart: sysfs_streq() in lib/string_helpers.c.
 */

/** The text up to its first NUL character. */
export function cString(text: string): string {
  const end = text.indexOf('\0')
  return end < 0 ? text : text.slice(0, end)
}

/** Whether what was written is this word, one trailing newline allowed. */
export function isWord(text: string, word: string): boolean {
  const written = cString(text)
  return written === word || written === `${word}\n`
}
