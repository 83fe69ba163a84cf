/** Bytes written as annotated hexadecimal: what follows a bar to the end of a line is a comment. */

/** `hex('2a 00 | a number')` */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\|.*$/gm, '').replace(/\s/g, '')
  return Uint8Array.from(digits.match(/../g) ?? [], pair => Number.parseInt(pair, 16))
}

/** The other way round, one string for each byte group of four: what a failed comparison shows. */
export const show = (bytes: Uint8Array): string[] =>
  Buffer.from(bytes)
    .toString('hex')
    .match(/.{1,8}/g) ?? []
