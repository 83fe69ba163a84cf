/**
 * Joining and leaving groups and contexts. Counterpart: list_add_event(), perf_group_attach(), perf_group_detach()
 * and list_del_event() in kernel/events/core.c.
 */
import { PERF_ATTACH_CONTEXT, PERF_ATTACH_GROUP, PERF_EVENT_STATE_INACTIVE } from '../abi/perf-event.js'
import type { PerfEventContext, PmuContext } from './context.js'
import type { PerfEvent } from './event.js'
import { groupOf } from './event.js'
import { updateSiblingTimes, updateTime } from './event-time.js'
import { group_sched_out, scheduleIn } from './sched.js'

const isInstalled = (event: PerfEvent): boolean => (event.attach_state & PERF_ATTACH_CONTEXT) !== 0

/** Puts an event into its context and its group, and places it where it is enabled. */
export function install(event: PerfEvent, ctx: PerfEventContext, pmu_ctx: PmuContext): void {
  const leader = event.group_leader
  event.ctx = ctx
  event.pmu_ctx = pmu_ctx
  event.attach_state |= PERF_ATTACH_CONTEXT | PERF_ATTACH_GROUP
  ctx.event_list.add(event)
  if (leader === event) {
    pmu_ctx.groupsOf(event).add(event)
  } else {
    leader.sibling_list.add(event)
    leader.isSoftwareGroup &&= event.isSoftware
  }
  ctx.atOnce(() => {
    event.tstamp = ctx.time()
    scheduleIn(event)
  })
}

/** Takes an event that is on no PMU out of its context's lists; it keeps its group. */
export function uninstall(event: PerfEvent): void {
  if (!isInstalled(event)) return
  event.attach_state &= ~PERF_ATTACH_CONTEXT
  event.pmu_ctx?.pinned.delete(event)
  event.pmu_ctx?.flexible.delete(event)
  event.ctx?.drop(event)
}

/** Takes an event out of its group. A leader's siblings become groups of their own and go on counting. */
export function detachGroup(event: PerfEvent): void {
  if ((event.attach_state & PERF_ATTACH_GROUP) === 0) return
  event.attach_state &= ~PERF_ATTACH_GROUP
  const leader = event.group_leader
  if (leader !== event) {
    updateTime(event)
    leader.sibling_list.delete(event)
    event.group_leader = event
    return
  }
  // While the leader was off its siblings were too: their times must not run over that.
  updateSiblingTimes(event)
  const siblings = [...event.sibling_list]
  event.sibling_list.clear()
  for (const sibling of siblings) {
    sibling.group_leader = sibling
    sibling.isSoftwareGroup = event.isSoftwareGroup
    if (isInstalled(sibling)) sibling.pmu_ctx?.groupsOf(sibling).add(sibling)
  }
  for (const sibling of siblings) if (sibling.state === PERF_EVENT_STATE_INACTIVE) scheduleIn(sibling)
}

/** Moves a pure software group to the context of the hardware PMU of a new sibling. */
export function moveGroup(leader: PerfEvent, to: PmuContext): void {
  group_sched_out(leader)
  leader.pmu_ctx?.pinned.delete(leader)
  leader.pmu_ctx?.flexible.delete(leader)
  for (const event of groupOf(leader)) event.pmu_ctx = to
  to.groupsOf(leader).add(leader)
}
