/**
 * JSON with exact integers. QEMU writes a u64 as a JSON number, and JSON.parse rounds above 2^53: a vCPU that
 * has halted for 104 days is there in nanoseconds. Integers that long are made strings before they are parsed.
 */

/** Strings, to step over them, and numbers. */
const tokens = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
const longInteger = /^-?\d{16,}$/

/** Parses JSON; an integer of 16 digits or more becomes a string of them. Throws a SyntaxError. */
export function parseExact(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text)
  return JSON.parse(text.replace(tokens, token => (longInteger.test(token) ? `"${token}"` : token)))
}
