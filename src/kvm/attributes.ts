/** The attribute files of the PMUs `kvm` and `kvm_vm`: their terms, and their events by these. */
import { eventAttributes, eventIdText, textAttribute } from '../perf/attribute-files.js'
import type { Attribute } from '../perf/pmu.js'
import type { EventDescription, HistogramDescription } from './vm.js'

/** The `event` term: which bits of config take an event's id. */
export const format_attr_event: Attribute = textAttribute('event', 'config:0-7')

/** The `vm` term: which bits of config1 take the process id of a VM's VMM. */
export const format_attr_vm: Attribute = textAttribute('vm', 'config1:0-31')

/** The `bucket` term: which bits of config2 take the bucket of a histogram. */
export const format_attr_bucket: Attribute = textAttribute('bucket', 'config2:0-7')

/** The `reason` term: which bits of config1 take the reason, for an event that there is one of for each. */
export const format_attr_reason: Attribute = textAttribute('reason', 'config1:32-63')

/** The files of one event. */
export function counterAttributes(id: number, event: EventDescription): Attribute[] {
  const { reason } = event
  const reasonText = reason === undefined ? '' : `,reason=0x${reason.value.toString(16)}`
  return eventAttributes(event, `event=${eventIdText(id)}${reasonText}`)
}

/** The file of a histogram: whoever counts it must say which bucket. */
export const histogramAttribute = (id: number, { name }: HistogramDescription): Attribute =>
  textAttribute(name, `event=${eventIdText(id)},bucket=?`)
