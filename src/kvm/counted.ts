/** What a perf event of these PMUs counts: a statistic of one vCPU, or one of a whole VM. */
import type { Failure } from '../abi/errno.js'
import type { Refresher } from '../perf/pmu.js'

export interface Counted {
  /** Whose refresh must come before get_event_count() is current; undefined: it always is. */
  readonly refresher: Refresher | undefined
  /** The statistic now, or when it was last kept; undefined where it cannot be read. */
  get_event_count(): bigint | undefined
  /** One more counts; refused where the source cannot. */
  arm(): Failure | undefined
  /** One less counts: for each arm() that was not refused, once. */
  disarm(): void
}
