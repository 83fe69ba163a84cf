/**
 * Text of others on a terminal: names of VMs and threads, messages of VMMs. Whoever runs a VM chooses them, and
 * an escape sequence in one would act on the terminal of whoever looks, root's among them.
 */

// Control characters (C0, DEL, C1) and what turns the direction of writing, by number: the lint forbids them in patterns.
const isControl = (code: number): boolean => code < 0x20 || (code >= 0x7f && code <= 0x9f)
const isDirection = (code: number): boolean =>
  code === 0x061c ||
  (code >= 0x200e && code <= 0x200f) ||
  (code >= 0x202a && code <= 0x202e) ||
  (code >= 0x2066 && code <= 0x2069)

/** The same text in one line, with "?" for each character that is not shown but obeyed. */
export const printable = (text: string): string =>
  Array.from(text, character => {
    const code = character.codePointAt(0) ?? 0
    return isControl(code) || isDirection(code) ? '?' : character
  }).join('')
