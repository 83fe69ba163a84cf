/**
 * What switches an event on and off and ends it. Counterpart: __perf_event_enable(), __perf_event_disable(),
 * perf_event_exit_event(), perf_event_exec() and __perf_event_overflow() in kernel/events/core.c.
 */
import {
  PERF_EVENT_STATE_DEAD,
  PERF_EVENT_STATE_ERROR,
  PERF_EVENT_STATE_EXIT,
  PERF_EVENT_STATE_INACTIVE,
  PERF_EVENT_STATE_OFF,
  PERF_EVENT_STATE_REVOKED,
} from '../abi/perf-event.js'
import type { PerfEventContext } from './context.js'
import type { PerfEvent } from './event.js'
import { atOnce, setState, updateTime } from './event-time.js'
import { detachGroup, uninstall } from './groups.js'
import { callDestroy } from './pmu-calls.js'
import { event_sched_out, fill, group_sched_out, scheduleIn } from './sched.js'
import { wakeWaiters } from './waiters.js'

/** PERF_EVENT_IOC_ENABLE on one event: one in ERROR is tried again, one that has ended stays as it is. */
export function enable(event: PerfEvent): void {
  if (event.isEnabled || event.state < PERF_EVENT_STATE_ERROR) return
  atOnce(event, () => {
    setState(event, PERF_EVENT_STATE_OFF)
    setState(event, PERF_EVENT_STATE_INACTIVE)
    scheduleIn(event)
  })
}

/** What was taken off a hardware PMU may have made room for another. */
function offerRoom(event: PerfEvent): void {
  if (event.pmu_ctx && !event.pmu_ctx.isSoftware) fill(event.pmu_ctx)
}

/** PERF_EVENT_IOC_DISABLE on one event; with a leader its whole group stops. */
export function disable(event: PerfEvent): void {
  if (!event.isEnabled) return
  atOnce(event, () => {
    if (event.group_leader === event) group_sched_out(event)
    else event_sched_out(event)
    setState(event, PERF_EVENT_STATE_OFF)
    offerRoom(event)
  })
}

/** Counts one overflow of a sampling event; the last one that PERF_EVENT_IOC_REFRESH allowed switches it off. */
export function perf_event_overflow(event: PerfEvent): void {
  if (event.event_limit === 0) return
  event.event_limit -= 1
  if (event.event_limit > 0) return
  disable(event)
  wakeWaiters(event)
}

/** Ends an event whose thread is gone: its totals stay, and so does its group. */
export function exitEvent(event: PerfEvent): void {
  if (event.state <= PERF_EVENT_STATE_EXIT) return
  atOnce(event, () => {
    if (event.group_leader === event) group_sched_out(event)
    else event_sched_out(event)
    setState(event, PERF_EVENT_STATE_EXIT)
    uninstall(event)
    offerRoom(event)
  })
  wakeWaiters(event)
}

/** Ends every event of a context whose thread has exited. */
export function exitContext(ctx: PerfEventContext): void {
  // All are taken off before any ends: none is to be placed again in room that another has left.
  const events = [...ctx.event_list]
  ctx.atOnce(() => {
    for (const event of events) event_sched_out(event)
    for (const event of events) setState(event, PERF_EVENT_STATE_EXIT)
  })
  for (const event of events) {
    uninstall(event)
    wakeWaiters(event)
  }
}

/** Ends the thread's events first where the thread has exited since: to be called before any use of an event. */
export function settle(event: PerfEvent): void {
  if (event.ctx?.task?.isExited) exitContext(event.ctx)
}

function remove(
  event: PerfEvent,
  state: typeof PERF_EVENT_STATE_REVOKED | typeof PERF_EVENT_STATE_DEAD,
): void {
  atOnce(event, () => {
    event_sched_out(event)
    updateTime(event)
    detachGroup(event)
    setState(event, state)
    uninstall(event)
    offerRoom(event)
  })
}

/** Ends an event whose PMU goes: the descriptor stays and shows the last totals. */
export function revokeEvent(event: PerfEvent): void {
  remove(event, PERF_EVENT_STATE_REVOKED)
  callDestroy(event)
  wakeWaiters(event)
}

/** Ends an event with its last descriptor. */
export function closeEvent(event: PerfEvent): void {
  remove(event, PERF_EVENT_STATE_DEAD)
  free(event)
  wakeWaiters(event)
}

/** Gives back what an event took when it was made. */
export function free(event: PerfEvent): void {
  callDestroy(event)
  event.core.freed(event)
  event.hw.target?.release()
}

/** The thread has called execve(2): enable_on_exec takes effect, once, and remove_on_exec ends events. */
export function execContext(ctx: PerfEventContext): void {
  const events = [...ctx.event_list]
  const enabled = events.filter(event => event.attr.enable_on_exec)
  ctx.atOnce(() => {
    for (const event of enabled) {
      event.attr = { ...event.attr, enable_on_exec: false }
      if (!event.isEnabled) setState(event, PERF_EVENT_STATE_INACTIVE)
    }
    for (const event of enabled) scheduleIn(event)
  })
  for (const event of events) if (event.attr.remove_on_exec) exitEvent(event)
}
