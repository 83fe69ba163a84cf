/**
 * States and the two times of an event. Counterpart: perf_event_update_time() and perf_event_set_state() in
 * kernel/events/core.c.
 *
 * Enabled time grows while the state is INACTIVE or above, running time while it is ACTIVE. A member of a group
 * whose leader is off counts as off, whatever its own state: so the siblings' times are brought up to date
 * before their leader crosses that line.
 *
 * The times of an event on a thread and one CPU are its PMU's own, both of one moment, where it follows the thread: perf
 * scales a count by their ratio, which must be 1 while the thread keeps to that CPU.
 */
import {
  PERF_EVENT_STATE_ACTIVE,
  PERF_EVENT_STATE_INACTIVE,
  PERF_EVENT_STATE_OFF,
} from '../abi/perf-event.js'
import { wrap64 } from '../abi/struct.js'
import type { EventState, PerfEvent } from './event.js'

/** The state that decides about time: the leader's where the leader is off or worse. */
export function effectiveState(event: PerfEvent): EventState {
  const leader = event.group_leader
  return leader.state <= PERF_EVENT_STATE_OFF ? leader.state : event.state
}

/** Changes states at one moment of the event's context. */
export function atOnce(event: PerfEvent, change: () => void): void {
  if (event.ctx) event.ctx.atOnce(change)
  else change()
}

/** Adds the context time since the last update to the totals, by the state that held meanwhile. */
export function updateTime(event: PerfEvent): void {
  if (!event.ctx) return
  const now = event.ctx.time()
  const delta = now - event.tstamp
  const state = effectiveState(event)
  const before = event.times_on_cpu
  const own = event.cpu >= 0 ? event.pmu.timesOnCpu?.(event) : undefined
  event.times_on_cpu = own
  event.tstamp = now
  if (own && before && state >= PERF_EVENT_STATE_ACTIVE) {
    event.total_time_enabled = wrap64(event.total_time_enabled + own.enabled - before.enabled)
    event.total_time_running = wrap64(event.total_time_running + own.running - before.running)
    return
  }
  if (state >= PERF_EVENT_STATE_INACTIVE) event.total_time_enabled = wrap64(event.total_time_enabled + delta)
  if (state >= PERF_EVENT_STATE_ACTIVE) event.total_time_running = wrap64(event.total_time_running + delta)
}

/** The same for all siblings of a leader. */
export function updateSiblingTimes(leader: PerfEvent): void {
  for (const sibling of leader.sibling_list) updateTime(sibling)
}

/** Changes the state, its times brought up to date first. */
export function setState(event: PerfEvent, state: EventState): void {
  if (event.state === state) return
  updateTime(event)
  const crosses = event.state < PERF_EVENT_STATE_INACTIVE !== state < PERF_EVENT_STATE_INACTIVE
  if (crosses) updateSiblingTimes(event)
  event.state = state
}
