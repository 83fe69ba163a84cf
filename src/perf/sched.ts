/**
 * Placing groups on PMUs and taking them off. Counterpart: group_sched_in(), merge_sched_in() and ctx_resched() in
 * kernel/events/core.c.
 *
 * A group is placed whole or not at all. A pinned one that finds no room goes to ERROR, a flexible one waits
 * INACTIVE and keeps the hardware groups behind it waiting too. Pure software groups always have room: they are
 * placed one by one, since taking the others off and on again, as for hardware, would lose what happens meanwhile.
 *
 * A living thread counts as running: nothing tells user space when it is switched, and its context's time stands
 * still while it is not.
 */
import {
  PERF_ATTACH_CONTEXT,
  PERF_EVENT_STATE_ACTIVE,
  PERF_EVENT_STATE_ERROR,
  PERF_EVENT_STATE_INACTIVE,
  PERF_EVENT_STATE_OFF,
  PERF_PMU_TXN_ADD,
} from '../abi/perf-event.js'
import { log } from '../log.js'
import type { PmuContext } from './context.js'
import type { PerfEvent } from './event.js'
import { groupOf } from './event.js'
import { setState } from './event-time.js'
import { callAdd, callDel, transaction, whileDisabled } from './pmu-calls.js'
import { wakeWaiters } from './waiters.js'

/** Takes one event off its PMU; its count is final until it is placed again. */
export function event_sched_out(event: PerfEvent): void {
  if (event.state !== PERF_EVENT_STATE_ACTIVE) return
  callDel(event)
  setState(event, PERF_EVENT_STATE_INACTIVE)
}

/** Takes a whole group off. */
export function group_sched_out(leader: PerfEvent): void {
  for (const event of groupOf(leader)) event_sched_out(event)
}

function event_sched_in(event: PerfEvent): boolean {
  setState(event, PERF_EVENT_STATE_ACTIVE)
  const failure = callAdd(event)
  if (!failure) return true
  log.perf('event %s is not placed: %s', event.id, failure.message)
  setState(event, PERF_EVENT_STATE_INACTIVE)
  return false
}

/** Places what waits of a group; where one member finds no room the whole group is taken off. */
function group_sched_in(leader: PerfEvent, pmu_ctx: PmuContext): boolean {
  const waiting = groupOf(leader).filter(event => event.state === PERF_EVENT_STATE_INACTIVE)
  if (waiting.length === 0) return true
  return transaction(
    pmu_ctx.pmu,
    PERF_PMU_TXN_ADD,
    () => waiting.every(event_sched_in),
    () => group_sched_out(leader),
  )
}

/** Whether hardware groups may still be placed in this pass. */
interface Room {
  can_add_hw: boolean
}

const isActive = (leader: PerfEvent): boolean => leader.state === PERF_EVENT_STATE_ACTIVE

function group_can_go_on(leader: PerfEvent, pmu_ctx: PmuContext, room: Room): boolean {
  if (leader.isSoftwareGroup || isActive(leader)) return true
  const active = [...pmu_ctx.pinned, ...pmu_ctx.flexible].filter(other => isActive(other))
  if (active.some(other => other.attr.exclusive && !other.isSoftwareGroup)) return false
  if (leader.attr.exclusive && active.some(other => other.attr.pinned === leader.attr.pinned)) return false
  return room.can_add_hw
}

function merge_sched_in(leader: PerfEvent, pmu_ctx: PmuContext, room: Room): void {
  if (leader.state <= PERF_EVENT_STATE_OFF || !leader.ctx?.matchesCpu(leader)) return
  if (group_can_go_on(leader, pmu_ctx, room) && group_sched_in(leader, pmu_ctx)) return
  room.can_add_hw = false
  if (!leader.attr.pinned) return
  setState(leader, PERF_EVENT_STATE_ERROR)
  wakeWaiters(leader)
}

/** Places what waits, taking nothing off: room may have become free. */
export function fill(pmu_ctx: PmuContext): void {
  for (const groups of [pmu_ctx.pinned, pmu_ctx.flexible]) {
    const room = { can_add_hw: true }
    for (const leader of groups) merge_sched_in(leader, pmu_ctx, room)
  }
}

function ctx_resched(pmu_ctx: PmuContext, cause: PerfEvent): void {
  whileDisabled(pmu_ctx.pmu, () => {
    for (const leader of pmu_ctx.flexible) group_sched_out(leader)
    if (cause.group_leader.attr.pinned) for (const leader of pmu_ctx.pinned) group_sched_out(leader)
    fill(pmu_ctx)
  })
}

/** Places an event that was just installed or enabled, with its group, as far as there is room. */
export function scheduleIn(event: PerfEvent): void {
  const leader = event.group_leader
  const { pmu_ctx } = leader
  if (!pmu_ctx || (leader.attach_state & PERF_ATTACH_CONTEXT) === 0) return
  if (leader.state <= PERF_EVENT_STATE_OFF || !event.isEnabled) return
  if (leader.isSoftwareGroup && pmu_ctx.isSoftware) merge_sched_in(leader, pmu_ctx, { can_add_hw: true })
  else ctx_resched(pmu_ctx, event)
}

/** Tries again to place an event that waits: each use of it stands for the kernel's next context switch. */
export function retry(event: PerfEvent): void {
  const leader = event.group_leader
  const { pmu_ctx } = leader
  if (leader.state !== PERF_EVENT_STATE_INACTIVE || !pmu_ctx) return
  if (leader.isSoftwareGroup && pmu_ctx.isSoftware) merge_sched_in(leader, pmu_ctx, { can_add_hw: true })
  else fill(pmu_ctx)
}
