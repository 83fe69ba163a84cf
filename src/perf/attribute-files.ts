/**
 * The texts of a PMU's attribute files: PMU_FORMAT_ATTR() and PMU_EVENT_ATTR_STRING() of include/linux/perf_event.h.
 * Each ends with one newline.
 */
import type { Attribute } from './pmu.js'

/** A file of one line. */
export const textAttribute = (name: string, value: string): Attribute => ({ name, show: () => `${value}\n` })

/** An event's id as users write it: two digits of lower-case hex. */
export const eventIdText = (id: number): string => `0x${id.toString(16).padStart(2, '0')}`

/** An event as its files describe it. */
interface DescribedEvent {
  readonly name: string
  readonly unit?: string | undefined
  readonly scale?: string | undefined
}

/**
 * The files of one event: NAME, and NAME.unit and NAME.scale where it has them.
 *
 * @param terms what selects it, as `event=0x16`
 */
export const eventAttributes = ({ name, unit, scale }: DescribedEvent, terms: string): Attribute[] => [
  textAttribute(name, terms),
  ...(unit === undefined ? [] : [textAttribute(`${name}.unit`, unit)]),
  ...(scale === undefined ? [] : [textAttribute(`${name}.scale`, scale)]),
]
