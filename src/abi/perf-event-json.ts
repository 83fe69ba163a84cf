/**
 * Numbers and flag words in JSON, for perf_event_attr and the other arguments of perf_event_open(2).
 *
 * A JSON number above 2^53-1 was rounded when it was parsed, so it is refused rather than taken for what was
 * written; such values are strings, decimal or hexadecimal.
 */
import { Failure } from './errno.js'
import { didYouMean } from './nearest.js'
import type { BitNames } from './perf-event.js'
import { maskOf, PERF_FLAG } from './perf-event.js'

/** The values a field takes, both ends included. */
export interface IntegerRange {
  readonly min: bigint
  readonly max: bigint
}

const unsigned = (width: number): IntegerRange => ({ min: 0n, max: (1n << BigInt(width)) - 1n })

export const U16_RANGE = unsigned(16)
export const U32_RANGE = unsigned(32)
export const U64_RANGE = unsigned(64)
export const S32_RANGE: IntegerRange = { min: -(1n << 31n), max: (1n << 31n) - 1n }

const numeral = /^-?(?:[0-9]+|0[xX][0-9a-fA-F]+)$/

/** Long enough for any 64-bit value: BigInt() takes time that grows with the square of the length. */
const LONGEST_NUMERAL = 24

function parseNumeral(text: string): bigint | undefined {
  if (text.length > LONGEST_NUMERAL || !numeral.test(text)) return undefined
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text)
}

/** How a refused value is shown: short, whatever it is. */
function shown(value: unknown): string {
  // Not the inside of an object: one that is nested deeply overflows the stack.
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object'
  const text = JSON.stringify(value) ?? typeof value
  return text.length > 40 ? `${text.slice(0, 37)}...` : text
}

/**
 * Reads an integer: a JSON number that is exact, or a string in decimal or hex.
 *
 * @param name the field, for the message
 */
export function integerFromJson(name: string, value: unknown, range: IntegerRange): bigint | Failure {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
    return new Failure('EINVAL', `"${name}": a JSON number above 2^53-1 was rounded; write it as a string`)
  const isExact = typeof value === 'number' && Number.isSafeInteger(value)
  const integer = isExact ? BigInt(value) : typeof value === 'string' ? parseNumeral(value) : undefined
  if (integer === undefined)
    return new Failure('EINVAL', `"${name}": ${shown(value)} is no integer (a number, or "123", or "0x7b")`)
  if (integer < range.min || integer > range.max)
    return new Failure('EINVAL', `"${name}": ${integer} is out of range (${range.min} to ${range.max})`)
  return integer
}

/** Reads a single bit: a boolean, 0 or 1. */
export function flagFromJson(name: string, value: unknown): boolean | Failure {
  if (value === true || value === 1) return true
  if (value === false || value === 0) return false
  return new Failure('EINVAL', `"${name}": ${shown(value)} is no flag (true or false, 1 or 0)`)
}

/** A flag word: what it is called, its bits, and the prefix that their kernel names have. */
export interface BitSet {
  readonly name: string
  readonly prefix: string
  readonly names: BitNames
}

/** Reads a flag word: a number, or a list of names with or without their prefix. */
export function bitsFromJson(set: BitSet, value: unknown): bigint | Failure {
  if (!Array.isArray(value)) return integerFromJson(set.name, value, U64_RANGE)
  let word = 0n
  for (const item of value) {
    if (typeof item !== 'string') return new Failure('EINVAL', `"${set.name}": ${shown(item)} is no name`)
    const name = item.startsWith(set.prefix) ? item.slice(set.prefix.length) : item
    const bit = Object.hasOwn(set.names, name) ? set.names[name] : undefined
    if (bit === undefined)
      return new Failure(
        'EINVAL',
        `"${set.name}": unknown name ${shown(item)}${didYouMean(name, Object.keys(set.names))}`,
      )
    word |= bit
  }
  return word
}

/** Writes an integer: a number where it is exact, else a hexadecimal string. */
export const integerToJson = (value: bigint): number | string =>
  Number.isSafeInteger(Number(value)) ? Number(value) : `0x${value.toString(16)}`

/** Writes a flag word: its names, or a number where a bit has none. */
export function bitsToJson(set: BitSet, word: bigint): readonly string[] | number | string {
  if ((word & ~maskOf(set.names)) !== 0n) return integerToJson(word)
  return Object.entries(set.names)
    .filter(([, bit]) => (word & bit) !== 0n)
    .map(([name]) => name)
}

const openFlags: BitSet = { name: 'flags', prefix: 'PERF_FLAG_', names: PERF_FLAG }

/** Reads the `flags` of perf_event_open(2); which bits there are is judged when the event is opened. */
export const openFlagsFromJson = (value: unknown): bigint | Failure => bitsFromJson(openFlags, value)
