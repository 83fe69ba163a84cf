/**
 * The refusals of perf_event_open(2), each a small function; open.ts has them in the kernel's order.
 * Counterpart: sys_perf_event_open() and perf_event_alloc() in kernel/events/core.c.
 */

import type { Caller } from '../abi/caller.js'
import { Failure } from '../abi/errno.js'
import {
  maskOf,
  PERF_EVENT_STATE_EXIT,
  PERF_FLAG,
  PERF_FLAG_FD_NO_GROUP,
  PERF_FLAG_FD_OUTPUT,
  PERF_FLAG_PID_CGROUP,
  PERF_PERIOD_SIGN,
  PERF_PMU_CAP_AUX_OUTPUT,
  PERF_PMU_CAP_AUX_PAUSE,
  PERF_PMU_CAP_NO_INTERRUPT,
  PERF_PMU_CAP_NO_NMI,
  PERF_SAMPLE_CALLCHAIN,
  PERF_SAMPLE_PHYS_ADDR,
  PERF_SAMPLE_READ,
  PERF_SAMPLE_TID,
} from '../abi/perf-event.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import type { PerfEvent } from './event.js'
import { settle } from './lifecycle.js'
import type { PerfHost, Task } from './task.js'

/** What is asked for, as far as it is known before there is an event. */
export interface Request {
  readonly host: PerfHost
  readonly attr: perf_event_attr
  readonly pid: number
  readonly cpu: number
  readonly flags: bigint
  readonly caller: Caller
}

/** The same with what its arguments name. */
export interface Resolved extends Request {
  readonly task: Task | undefined
  /** The leader of the group that it is to join. */
  readonly leader: PerfEvent | undefined
  /** Where FD_OUTPUT wants its output to go. */
  readonly output: PerfEvent | undefined
}

const invalid = (message: string): Failure => new Failure('EINVAL', message)

/** The first failure that a list of checks finds. */
export function firstFailure<T>(
  checks: readonly ((subject: T) => Failure | undefined)[],
  subject: T,
): Failure | undefined {
  for (const check of checks) {
    const failure = check(subject)
    if (failure) return failure
  }
  return undefined
}

export const isCgroup = (flags: bigint): boolean => (flags & PERF_FLAG_PID_CGROUP) !== 0n

export function checkFlags(flags: bigint): Failure | undefined {
  const unknown = flags & ~maskOf(PERF_FLAG)
  return unknown === 0n ? undefined : invalid(`flags has unknown bits: 0x${unknown.toString(16)}`)
}

/** Above this value of perf_event_paranoid the kernel's side is for CAP_PERFMON only. */
const PARANOID_KERNEL = 1
/** Above this one whole CPUs are. */
const PARANOID_CPU = 0

/** perf_allow_kernel() */
export const allowKernel = (host: PerfHost, caller: Caller): Failure | undefined =>
  host.paranoid() > PARANOID_KERNEL && !host.isPerfmonCapable(caller)
    ? new Failure(
        'EACCES',
        `perf_event_paranoid is ${host.paranoid()}: counting the kernel needs CAP_PERFMON, or that setting at 1; exclude_kernel counts without it, where the PMU takes it`,
      )
    : undefined

export const kernelAllowed = ({ attr, host, caller }: Request): Failure | undefined =>
  attr.exclude_kernel ? undefined : allowKernel(host, caller)

export const namespacesAllowed = ({ attr, host, caller }: Request): Failure | undefined =>
  attr.namespaces && !host.isPerfmonCapable(caller)
    ? new Failure('EACCES', 'namespaces needs CAP_PERFMON')
    : undefined

export function periodInRange({ attr, host }: Request): Failure | undefined {
  if (!attr.freq)
    return (attr.sample_period & PERF_PERIOD_SIGN) === 0n
      ? undefined
      : invalid(`sample_period ${attr.sample_period} is not below 2^63`)
  const maxRate = host.maxSampleRate()
  return attr.sample_period > maxRate
    ? invalid(`sample_freq ${attr.sample_period} is above perf_event_max_sample_rate, ${maxRate}`)
    : undefined
}

export const physAddrAllowed = ({ attr, host, caller }: Request): Failure | undefined =>
  (attr.sample_type & PERF_SAMPLE_PHYS_ADDR) === 0n ? undefined : allowKernel(host, caller)

export const cgroupHasCpu = ({ flags, pid, cpu }: Request): Failure | undefined =>
  isCgroup(flags) && (pid === -1 || cpu === -1)
    ? invalid('PID_CGROUP needs a cgroup descriptor as pid, and a cpu')
    : undefined

/** What `group_fd` names: as leader, as output target, or, with both flags, as neither. */
export function findGroup(
  group_fd: PerfEvent | -1 | 'EBADF',
  flags: bigint,
): Pick<Resolved, 'leader' | 'output'> | Failure {
  if (group_fd === -1) return { leader: undefined, output: undefined }
  if (group_fd === 'EBADF') return new Failure('EBADF', 'group_fd is no open event')
  settle(group_fd)
  if (group_fd.state <= PERF_EVENT_STATE_EXIT)
    return new Failure('ENODEV', `the group leader has ended (${group_fd.stateName})`)
  return {
    leader: (flags & PERF_FLAG_FD_NO_GROUP) === 0n ? group_fd : undefined,
    output: (flags & PERF_FLAG_FD_OUTPUT) === 0n ? undefined : group_fd,
  }
}

/** The thread that is named, held for the event; undefined where a CPU is to be counted. */
export function findTask({ host, pid, flags, caller }: Request): Task | Failure | undefined {
  if (pid === -1 || isCgroup(flags)) return undefined
  if (pid < -1) return new Failure('ESRCH', `pid ${pid} is no thread`)
  return host.findTask(pid, caller)
}

export const inheritMatches = ({ task, leader, attr }: Resolved): Failure | undefined =>
  task && leader && leader.attr.inherit !== attr.inherit
    ? invalid(`inherit must be as the group leader has it, ${leader.attr.inherit}`)
    : undefined

export function cpuInRange({ host, task, cpu }: Resolved): Failure | undefined {
  if (Number.isInteger(cpu) && cpu >= 0 && cpu < host.nr_cpu_ids) return undefined
  if (cpu !== -1) return invalid(`cpu ${cpu} is out of range (-1 for any, else 0 to ${host.nr_cpu_ids - 1})`)
  return task ? undefined : invalid('one of pid and cpu must be given: with cpu -1 a thread is counted')
}

export const sigtrapHasTask = ({ attr, task }: Resolved): Failure | undefined =>
  attr.sigtrap && !task ? invalid('sigtrap needs a thread') : undefined

export const inheritedReadHasTid = ({ attr }: Resolved): Failure | undefined =>
  attr.inherit && (attr.sample_type & PERF_SAMPLE_READ) !== 0n && (attr.sample_type & PERF_SAMPLE_TID) === 0n
    ? invalid('READ samples of an inherited event need TID in sample_type')
    : undefined

/**
 * Whether the caller may count what it named. For sigtrap the kernel asks for more than to observe the thread; that
 * right is not asked for, as no signal is ever sent from here.
 */
export function permitted({ host, task, caller }: Resolved): Failure | undefined {
  if (task)
    return host.mayObserve(caller, task)
      ? undefined
      : new Failure('EACCES', `thread ${task.tid} is not yours to observe: that needs CAP_PERFMON`)
  return host.paranoid() > PARANOID_CPU && !host.isPerfmonCapable(caller)
    ? new Failure(
        'EACCES',
        `perf_event_paranoid is ${host.paranoid()}: counting a whole CPU needs CAP_PERFMON`,
      )
    : undefined
}

/**
 * What counts neither threads nor cgroups refuses them here. No PMU counts cgroups: a cgroup is named by a descriptor of
 * the caller's, which does not reach this program. So every PMU is to them what the kernel's uncore PMUs are, and perf,
 * to which EINVAL is "not supported", goes on with its other events.
 */
export function hasTaskContext({ pmu }: PerfEvent, { task, flags }: Resolved): Failure | undefined {
  if (isCgroup(flags)) return invalid(`PMU "${pmu.name}" counts no cgroups: leave PERF_FLAG_PID_CGROUP out`)
  return task && pmu.task_ctx_nr === 'perf_invalid_context'
    ? invalid(`PMU "${pmu.name}" counts whole CPUs only: give a cpu and pid -1`)
    : undefined
}

export function auxActionsPossible({ attr, pmu }: PerfEvent): Failure | undefined {
  const canOutput = (pmu.capabilities & PERF_PMU_CAP_AUX_OUTPUT) !== 0
  if (attr.aux_output && (!canOutput || attr.aux_pause || attr.aux_resume))
    return new Failure('EOPNOTSUPP', `PMU "${pmu.name}" has no AUX output`)
  if (attr.aux_pause && attr.aux_resume) return invalid('aux_pause and aux_resume exclude each other')
  if (attr.aux_start_paused && (pmu.capabilities & PERF_PMU_CAP_AUX_PAUSE) === 0)
    return new Failure('EOPNOTSUPP', `PMU "${pmu.name}" cannot be paused`)
  return undefined
}

export const callchainFits = ({ attr }: PerfEvent, { host }: Resolved): Failure | undefined =>
  (attr.sample_type & PERF_SAMPLE_CALLCHAIN) !== 0n && attr.sample_max_stack > host.maxStack()
    ? new Failure('EOVERFLOW', `sample_max_stack ${attr.sample_max_stack} is above ${host.maxStack()}`)
    : undefined

export const samplingPossible = ({ isSampling, pmu }: PerfEvent): Failure | undefined =>
  isSampling && (pmu.capabilities & PERF_PMU_CAP_NO_INTERRUPT) !== 0
    ? new Failure('EOPNOTSUPP', `PMU "${pmu.name}" takes no samples: set sample_period to 0`)
    : undefined

/** clockid_t of the clocks that a sample may carry, and whether they can be read in an NMI. */
const clocks: ReadonlyMap<number, { readonly isNmiSafe: boolean }> = new Map([
  [0, { isNmiSafe: false }], // CLOCK_REALTIME
  [1, { isNmiSafe: true }], // CLOCK_MONOTONIC
  [4, { isNmiSafe: true }], // CLOCK_MONOTONIC_RAW
  [7, { isNmiSafe: false }], // CLOCK_BOOTTIME
  [11, { isNmiSafe: false }], // CLOCK_TAI
])

export function clockUsable({ attr, pmu }: PerfEvent): Failure | undefined {
  if (!attr.use_clockid) return undefined
  const clock = clocks.get(attr.clockid)
  if (clock && (clock.isNmiSafe || (pmu.capabilities & PERF_PMU_CAP_NO_NMI) !== 0)) return undefined
  return invalid(`clockid ${attr.clockid} is no clock that PMU "${pmu.name}" can use`)
}
