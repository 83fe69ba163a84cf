/**
 * The attribute files of the host PMU: PMU_FORMAT_ATTR() and PMU_EVENT_ATTR_STRING() of
 * include/linux/perf_event.h. Each text ends with one newline.
 */
import type { Attribute } from '../perf/pmu.js'
import type { EventDescription, HistogramDescription } from './vm.js'

const text = (name: string, value: string): Attribute => ({ name, show: () => `${value}\n` })

/** The `event` term: which bits of config take an event's id. */
export const format_attr_event: Attribute = text('event', 'config:0-7')

/** The `vm` term: which bits of config1 take the process id of a VM's VMM. */
export const format_attr_vm: Attribute = text('vm', 'config1:0-31')

/** The `bucket` term: which bits of config2 take the bucket of a histogram. */
export const format_attr_bucket: Attribute = text('bucket', 'config2:0-7')

/** The `reason` term: which bits of config1 take the reason, for an event that there is one of for each. */
export const format_attr_reason: Attribute = text('reason', 'config1:32-63')

/** An event's id as users write it: two digits of lower-case hex. */
export const eventIdText = (id: number): string => `0x${id.toString(16).padStart(2, '0')}`

/** The files of one event: NAME, and NAME.unit and NAME.scale where it has them. */
export function eventAttributes(id: number, { name, unit, scale, reason }: EventDescription): Attribute[] {
  const reasonText = reason === undefined ? '' : `,reason=0x${reason.value.toString(16)}`
  const files = [text(name, `event=${eventIdText(id)}${reasonText}`)]
  if (unit !== undefined) files.push(text(`${name}.unit`, unit))
  if (scale !== undefined) files.push(text(`${name}.scale`, scale))
  return files
}

/** The file of a histogram: whoever counts it must say which bucket. */
export const histogramAttribute = (id: number, { name }: HistogramDescription): Attribute =>
  text(name, `event=${eventIdText(id)},bucket=?`)
