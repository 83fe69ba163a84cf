/** Makes events and counts of what query-stats-schemas and query-stats answer. */
import type { z } from 'zod'
import type { EventDescription } from '../../kvm/vm.js'
import { type CountScope, type VmCounts, WHOLE_VM } from '../messages.js'
import { describeEvent, isEventName, type Statistic } from '../scale.js'
import type { stats, statsSchemas } from './schemas.js'

const units = new Map<string | undefined, Statistic['unit']>([
  [undefined, undefined],
  ['bytes', 'bytes'],
  ['seconds', 'seconds'],
  ['cycles', 'cycles'],
])

/** What KVM counts for each vCPU or for the VM: its cumulative scalars. QEMU lists KVM's descriptors in reverse. */
export function countedEvents(schemas: z.infer<typeof statsSchemas>, scope: CountScope): EventDescription[] {
  const events = new Map<string, EventDescription>()
  for (const schema of schemas) {
    if (schema.provider !== 'kvm' || schema.target !== scope) continue
    for (const { name, type, unit, base = 10, exponent } of schema.stats.toReversed()) {
      if (type !== 'cumulative' || !units.has(unit) || !isEventName(name)) continue
      if (base !== 10 && base !== 2) continue
      events.set(name, describeEvent({ name, unit: units.get(unit), base, exponent }))
    }
  }
  return [...events.values()]
}

/**
 * Orders the counts of an answer as `events` are. A vCPU of which one is missing is left out: no count is better
 * than a wrong one; so is one that is not known yet.
 *
 * @param vcpuIds vCPU ids by QOM path: results come in no order; that of the whole VM has no path
 */
export function countsOf(
  answer: z.infer<typeof stats>,
  events: readonly EventDescription[],
  vcpuIds: ReadonlyMap<string, number>,
): VmCounts {
  const counts = new Map<number, BigUint64Array>()
  for (const result of answer) {
    const path = result['qom-path']
    const vcpuId = path === undefined ? WHOLE_VM : vcpuIds.get(path)
    if (result.provider !== 'kvm' || vcpuId === undefined) continue
    const values = new Map(result.stats.map(({ name, value }) => [name, value]))
    const row = new BigUint64Array(events.length)
    const isWhole = events.every(({ name }, i) => {
      const value = values.get(name)
      if (typeof value !== 'number' && typeof value !== 'string') return false
      row[i] = BigInt(value)
      return true
    })
    if (isWhole) counts.set(vcpuId, row)
  }
  return counts
}
