/** Counts of a whole VM that are what they are told to be, for tests. */
import type { EventDescription, WholeSource } from '../../kvm/vm.js'
import type { Refresher } from '../../perf/pmu.js'

export class FakeWhole implements WholeSource {
  readonly name = 'fake'
  readonly events: readonly EventDescription[]
  readonly refresher?: Refresher
  readonly counts = new Map<string, bigint>()
  /** False: no statistic can be read. */
  isReadable = true
  isClosed = false

  constructor(events: readonly string[], refresher?: Refresher) {
    this.events = events.map(name => ({ name }))
    if (refresher) this.refresher = refresher
  }

  get_event_count(event: string): bigint | undefined {
    return this.isClosed || !this.isReadable ? undefined : (this.counts.get(event) ?? 0n)
  }

  close(): void {
    this.isClosed = true
  }
}
