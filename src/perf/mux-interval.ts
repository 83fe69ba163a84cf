/**
 * The attribute perf_event_mux_interval_ms: what may be written to it. Counterpart:
 * perf_event_mux_interval_ms_store() in kernel/events/core.c, over kstrtoint() with base 0.
 */
import { Failure } from '../abi/errno.js'

/** 1000/HZ of a kernel with 250 ticks a second. */
export const DEFAULT_MUX_INTERVAL_MS = 4

const INT_MAX = 0x7fff_ffff

// kstrtox: one sign, then 0x and hex digits, 0 and octal digits, or decimal digits; one newline may follow.
const integer = /^([+-]?)(?:0x([0-9a-f]+)|(0[0-7]*)|([1-9][0-9]*))\n?$/i

function magnitude([, , hex, octal, decimal]: RegExpExecArray): bigint {
  if (hex !== undefined) return BigInt(`0x${hex}`)
  return octal !== undefined ? BigInt(`0o${octal}`) : BigInt(decimal ?? '0')
}

/**
 * Reads what was written, in milliseconds. An empty write never arrives here: the file takes it and does nothing.
 *
 * @returns EINVAL for what is no number or below 1, ERANGE for what does not fit an int
 */
export function parseMuxInterval(text: string): number | Failure {
  const match = integer.exec(text)
  if (!match) return new Failure('EINVAL', `"${text.trimEnd()}" is no number of milliseconds`)
  const value = match[1] === '-' ? -magnitude(match) : magnitude(match)
  if (value > INT_MAX || value < -INT_MAX - 1)
    return new Failure('ERANGE', `${value} ms does not fit an int (1 to ${INT_MAX})`)
  if (value < 1n) return new Failure('EINVAL', `an interval of ${value} ms is too short (1 to ${INT_MAX})`)
  return Number(value)
}
