/**
 * What a KVM statistic's unit and exponent are to perf: the texts of `events/NAME.unit` and `events/NAME.scale`.
 * Both sources describe the same statistics, so that an event looks the same whichever counts it.
 */
import type { EventDescription } from '../kvm/vm.js'

/** A statistic as its descriptor tells it: the value is raw * base ^ exponent, in `unit`. */
export interface Statistic {
  readonly name: string
  readonly unit?: 'bytes' | 'seconds' | 'cycles' | undefined
  readonly base: 2 | 10
  readonly exponent: number
}

/** The units as perf's own PMUs spell them. */
const unitTexts = { bytes: 'Bytes', seconds: 's', cycles: 'cycles' } as const

/** Factors beyond these are no statistic's and would overflow the double that perf keeps the scale in. */
const MAX_EXPONENT = 64

/** Exactly base ^ exponent in a form that strtod(3) reads, or undefined where it is 1 or absurd. */
function scaleText(base: 2 | 10, exponent: number): string | undefined {
  if (exponent === 0 || Math.abs(exponent) > MAX_EXPONENT) return undefined
  return base === 10 ? `1e${exponent}` : String(2 ** exponent)
}

/** The event that counts a statistic. */
export function describeEvent({ name, unit, base, exponent }: Statistic): EventDescription {
  const scale = scaleText(base, exponent)
  return {
    name,
    ...(unit === undefined ? {} : { unit: unitTexts[unit] }),
    ...(scale === undefined ? {} : { scale }),
  }
}

/** What an event's name may be made of, as a file name under events/ and as a term of perf's grammar. */
export const isEventName = (name: string): boolean => /^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)
