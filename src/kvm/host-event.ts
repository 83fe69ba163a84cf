/**
 * What the host PMU does to one perf event. Counterpart: host_event_update() to host_event_read() of the patch.
 *
 * hw.state follows the kernel's drivers (x86_pmu_start(), x86_pmu_stop()), where the patch left it alone: STOPPED
 * says that the event is not armed, UPTODATE that what it counted is folded in. Each is done once, however often
 * the core asks, so that an event is disarmed as often as it was armed and a count is folded in once.
 */
import type { Failure } from '../abi/errno.js'
import { PERF_EF_START, PERF_EF_UPDATE, PERF_HES_STOPPED, PERF_HES_UPTODATE } from '../abi/perf-event.js'
import { wrap64 } from '../abi/struct.js'
import { log } from '../log.js'
import { countBetween } from '../perf/count-between.js'
import type { PerfEvent } from '../perf/event.js'
import type { TimesOnCpu } from '../perf/pmu.js'
import { type Counted, unreadable } from './counted.js'

/** What `pmu_private` holds. Counterpart: struct event_data of the patch. */
export class event_data {
  /** What it counts; undefined for a thread that runs no vCPU, and once the vCPU is gone: nothing is counted then. */
  counted: Counted | undefined
  /** The statistic when the event stopped: it goes on for others, so that it cannot be looked up later. */
  stopped_count: bigint | undefined = undefined
  /** Its times when it stopped, which stay when the vCPU goes. */
  stopped_times: TimesOnCpu | undefined = undefined

  constructor(counted: Counted | undefined) {
    this.counted = counted
  }
}

/** The host PMU's data of an event that its event_init() took. */
export function to_event_data(event: PerfEvent): event_data {
  if (event.pmu_private instanceof event_data) return event.pmu_private
  throw new TypeError(`Event ${event.id} is none of the host PMU's`)
}

const isStopped = (event: PerfEvent): boolean => (event.hw.state & PERF_HES_STOPPED) !== 0

/**
 * Folds in what was counted since the last time. Where the source cannot be read it says so, and the next time has it
 * all; an event that is stopped keeps the count that it has.
 */
export function host_event_update(event: PerfEvent): Failure | undefined {
  const { hw } = event
  if (hw.state & PERF_HES_UPTODATE) return undefined
  const { counted, stopped_count } = to_event_data(event)
  const new_count = isStopped(event) ? stopped_count : counted?.get_event_count()
  if (isStopped(event)) hw.state |= PERF_HES_UPTODATE
  else if (counted && new_count === undefined) return unreadable(counted)
  if (new_count === undefined) return undefined
  event.count = wrap64(event.count + countBetween(hw.prev_count, new_count))
  hw.prev_count = new_count
  return undefined
}

/**
 * Records the statistic and arms, in this order: what is counted from the first moment on is not missed. An event whose
 * statistic cannot be read does not start: how much it had counted by the first reading could not be told.
 */
export function host_event_start(event: PerfEvent): Failure | undefined {
  if (!isStopped(event)) return undefined
  // A stop without PERF_EF_UPDATE left its part to be folded in.
  host_event_update(event)
  const { counted } = to_event_data(event)
  const count = counted?.get_event_count()
  const failure = counted && count === undefined ? unreadable(counted) : counted?.arm()
  if (failure) return failure
  event.hw.prev_count = count ?? 0n
  event.hw.state = 0
  return undefined
}

/** Disarms; with PERF_EF_UPDATE the count is folded in, else it waits until it is asked for. */
export function host_event_stop(event: PerfEvent, flags: number): void {
  const e_data = to_event_data(event)
  if (!isStopped(event)) {
    e_data.counted?.disarm()
    e_data.stopped_times = e_data.counted?.timesOnCpu?.()
    e_data.stopped_count = e_data.counted?.get_event_count()
    event.hw.state |= PERF_HES_STOPPED
  }
  if (flags & PERF_EF_UPDATE) host_event_update(event)
}

/** Places the event; without PERF_EF_START it stays stopped. Refused where the source cannot count. */
export function host_event_add(event: PerfEvent, flags: number): Failure | undefined {
  if (!(flags & PERF_EF_START)) return undefined
  const failure = host_event_start(event)
  if (failure) log.kvm('event %s is not placed: %s', event.id, failure.message)
  return failure
}

export function host_event_del(event: PerfEvent): void {
  host_event_stop(event, PERF_EF_UPDATE)
}

/**
 * Ends what an event counts, its last count folded in while the source can still be read.
 * The patch holds no reference on its vCPU, so that one that goes leaves the event a dangling pointer.
 */
export function host_event_end(event: PerfEvent): void {
  host_event_stop(event, PERF_EF_UPDATE)
  to_event_data(event).counted = undefined
}
