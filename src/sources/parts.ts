/** What several sources of one VM have in common, the best of them first. */
import type { EventDescription } from '../kvm/vm.js'
import type { Refresher } from '../perf/pmu.js'

interface Part {
  readonly events: readonly EventDescription[]
  readonly refresher?: Refresher | undefined
}

/** The events of all, each as the first that has it describes it. */
export function eventsOf(parts: readonly Part[]): readonly EventDescription[] {
  const events = new Map<string, EventDescription>()
  for (const part of parts)
    for (const event of part.events) if (!events.has(event.name)) events.set(event.name, event)
  return [...events.values()]
}

/** The refresher of the first that has one. */
export const refresherOf = (parts: readonly Part[]): Refresher | undefined =>
  parts.find(({ refresher }) => refresher)?.refresher
