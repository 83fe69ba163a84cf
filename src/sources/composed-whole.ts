/**
 * Several sources of one VM's own counts as one. Each is KVM's own counter as somebody shows it, so that one may go on
 * for another: a count comes from the first that can be read.
 */
import type { EventDescription, WholeSource } from '../kvm/vm.js'
import type { Refresher } from '../perf/pmu.js'
import { eventsOf, refresherOf } from './parts.js'

export class ComposedWhole implements WholeSource {
  readonly parts: readonly WholeSource[]

  /** @param parts the best first */
  constructor(parts: readonly WholeSource[]) {
    this.parts = parts
  }

  get name(): string {
    return this.parts.map(({ name }) => name).join(',')
  }

  get events(): readonly EventDescription[] {
    return eventsOf(this.parts)
  }

  /** One part at most has counts to fetch: those of a QMP socket, whose VM has no other part. */
  get refresher(): Refresher | undefined {
    return refresherOf(this.parts)
  }

  get_event_count(event: string): bigint | undefined {
    for (const part of this.parts) {
      const count = part.get_event_count(event)
      if (count !== undefined) return count
    }
    return undefined
  }

  close(): void {
    for (const part of this.parts) part.close()
  }
}
