/** What a perf event of these PMUs counts: a statistic of one vCPU, or one of a whole VM. */
import { Failure } from '../abi/errno.js'
import type { Refresher, TimesOnCpu } from '../perf/pmu.js'

export interface Counted {
  /** For messages: `"exits" of vCPU thread 4711`. */
  readonly what: string
  /** Whose refresh must come before get_event_count() is current; undefined: it always is. */
  readonly refresher: Refresher | undefined
  /** The statistic now, or when it was last kept; undefined where it cannot be read now: then no event begins or goes on. */
  get_event_count(): bigint | undefined
  /** For an event on one CPU of its thread: as timesOnCpu() of a PMU. */
  timesOnCpu?(): TimesOnCpu | undefined
  /** One more counts; refused where the source cannot. */
  arm(): Failure | undefined
  /** One less counts: for each arm() that was not refused, once. */
  disarm(): void
}

/** The count cannot be had: EIO. */
export const unreadable = ({ what }: Counted): Failure =>
  new Failure('EIO', `${what} cannot be read now; DEBUG=pmufs:sources shows why`)
