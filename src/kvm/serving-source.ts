/** Which source counts an event of a vCPU. */
import type { CountSource, Vcpu } from './vm.js'

/** Whether a source has an event, a bucket of one of its histograms included. */
export const isDescribed = ({ events, histograms }: CountSource, event: string): boolean =>
  events.some(({ name }) => name === event) ||
  (histograms?.some(({ name }) => event.startsWith(`${name}[`)) ?? false)

/** The VM's source, or the part of it that counts this event of this very vCPU; undefined: none does. */
export function servingSource(vcpu: Vcpu, event: string): CountSource | undefined {
  const { source } = vcpu.vm
  if (source.partFor) return source.partFor(vcpu, event)
  return (source.canCount?.(vcpu, event) ?? isDescribed(source, event)) ? source : undefined
}
