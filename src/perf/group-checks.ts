/**
 * Whether an event may join what it wants to join. Counterpart: the second half of sys_perf_event_open(),
 * perf_event_validate_size() and exclusive_event_installable() in kernel/events/core.c.
 */
import { Failure } from '../abi/errno.js'
import { PERF_PMU_CAP_AUX_PAUSE, PERF_PMU_CAP_EXCLUSIVE } from '../abi/perf-event.js'
import type { PerfEventContext } from './context.js'
import type { PerfEvent } from './event.js'
import { groupOf } from './event.js'
import { readSize } from './read.js'

const invalid = (message: string): Failure => new Failure('EINVAL', message)

const clockOf = ({ attr }: PerfEvent): number | undefined => (attr.use_clockid ? attr.clockid : undefined)

/** Whether a leader's group is scheduled as software. */
const isInSoftwareContext = (leader: PerfEvent): boolean => leader.pmu_ctx?.isSoftware ?? leader.isSoftware

/** Whether a pure software group becomes a hardware one with this sibling. */
export const movesGroup = (event: PerfEvent, leader: PerfEvent): boolean =>
  !event.isSoftware && leader.isSoftware && leader.isSoftwareGroup

/** Why the event cannot be a sibling of this leader: EINVAL. */
export function groupRefusal(
  event: PerfEvent,
  leader: PerfEvent,
  ctx: PerfEventContext,
): Failure | undefined {
  if (leader.group_leader !== leader)
    return invalid('group_fd is itself a sibling: name the leader of its group')
  if (clockOf(leader) !== clockOf(event)) return invalid('the group has another clockid')
  if (leader.cpu !== event.cpu)
    return invalid(`the group is on cpu ${leader.cpu}, the event on cpu ${event.cpu}`)
  if (leader.ctx !== ctx) return invalid('the group counts another thread or CPU')
  if (event.attr.exclusive || event.attr.pinned)
    return invalid('only a group leader can be exclusive or pinned')
  if (event.isSoftware || isInSoftwareContext(leader) || leader.pmu_ctx?.pmu === event.pmu) return undefined
  return invalid(`the group is on PMU "${leader.pmu_ctx?.pmu.name}", the event on "${event.pmu.name}"`)
}

/** No read may be larger than this, whatever member it is asked of. */
const MAX_READ_SIZE = 16 * 1024

/** Why the group would be too large to read with the event in it: E2BIG. */
export function sizeRefusal(event: PerfEvent): Failure | undefined {
  const members = new Set([event, ...groupOf(event)])
  const nr_siblings = event.group_leader.sibling_list.size + 1
  for (const member of members)
    if (readSize(member.attr.read_format, nr_siblings) > MAX_READ_SIZE)
      return new Failure('E2BIG', `a group of ${nr_siblings + 1} events is too large to be read at once`)
  return undefined
}

/** Why the event cannot act on its leader's AUX area: EINVAL. No PMU here writes one, though one may be paused. */
export function auxRefusal({ attr }: PerfEvent, leader: PerfEvent | undefined): Failure | undefined {
  const isPausing = attr.aux_pause || attr.aux_resume
  if (!attr.aux_output && attr.aux_sample_size === 0 && !isPausing) return undefined
  const canBePaused = leader !== undefined && (leader.pmu.capabilities & PERF_PMU_CAP_AUX_PAUSE) !== 0
  const isPossible = isPausing && canBePaused && !attr.aux_output && attr.aux_sample_size === 0
  return isPossible ? undefined : invalid('the group leader has no AUX area')
}

const isExclusive = (event: PerfEvent): boolean => (event.pmu.capabilities & PERF_PMU_CAP_EXCLUSIVE) !== 0

/** Why an exclusive PMU cannot take the event: it counts threads or CPUs, never both. EBUSY. */
export function exclusiveKindRefusal(event: PerfEvent, others: Iterable<PerfEvent>): Failure | undefined {
  if (!isExclusive(event)) return undefined
  for (const other of others)
    if ((other.hw.target === undefined) !== (event.hw.target === undefined))
      return new Failure('EBUSY', `PMU "${event.pmu.name}" cannot count threads and CPUs at once`)
  return undefined
}

/** Why an exclusive PMU cannot take the event in this context: it has one there already. EBUSY. */
export function exclusiveRefusal(event: PerfEvent, ctx: PerfEventContext): Failure | undefined {
  if (!isExclusive(event)) return undefined
  for (const other of ctx.event_list)
    if (other.pmu === event.pmu && (other.cpu === event.cpu || other.cpu === -1 || event.cpu === -1))
      return new Failure('EBUSY', `PMU "${event.pmu.name}" has an event there already`)
  return undefined
}
