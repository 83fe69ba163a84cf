/**
 * What the host PMU refuses, in the patch's order. Counterpart: host_event_init().
 *
 * The permission to observe the thread is the core's to check, afterwards as in the kernel or before.
 */
import { Failure } from '../abi/errno.js'
import { PERF_ATTACH_TASK, PERF_SAMPLE_BRANCH_STACK } from '../abi/perf-event.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import type { PerfEvent } from '../perf/event.js'
import type { Task } from '../perf/task.js'

const excludes = ['exclude_user', 'exclude_kernel', 'exclude_hv', 'exclude_idle', 'exclude_guest'] as const

/** Why an attribute asks for what a statistic cannot tell: EINVAL. */
export function attributeRefusal(attr: perf_event_attr): Failure | undefined {
  if (attr.sample_type & PERF_SAMPLE_BRANCH_STACK)
    return new Failure('EINVAL', 'sample_type has BRANCH_STACK: the PMU takes no samples; leave it out')
  if (attr.sample_period !== 0n)
    return new Failure(
      'EINVAL',
      `sample_period is ${attr.sample_period}: the PMU takes no samples; set it to 0`,
    )
  const exclude = excludes.find(flag => attr[flag])
  if (exclude)
    return new Failure('EINVAL', `${exclude} is set: a statistic does not tell modes apart; leave it out`)
  return undefined
}

/** The thread that an event is on, or why the PMU counts no such event: EOPNOTSUPP. */
export function countedTask(event: PerfEvent): Task | Failure {
  const { target } = event.hw
  if (event.attach_state !== PERF_ATTACH_TASK || !target)
    return new Failure(
      'EOPNOTSUPP',
      'the PMU counts threads, no CPUs; give the thread id of a vCPU, as listed in vms/',
    )
  return target
}

/** Who counts does not know when the thread is on that CPU: EOPNOTSUPP. */
export const notFollowed = (cpu: number): Failure =>
  new Failure(
    'EOPNOTSUPP',
    `cpu is ${cpu}: which CPU a thread runs on cannot be followed from user space; set it to -1, or count a tracepoint's event`,
  )

/** The thread runs no vCPU: EINVAL. */
export const noVcpu = (tid: number): Failure =>
  new Failure('EINVAL', `pid ${tid} is not a vCPU thread; vCPU threads are listed in vms/`)

/** Any thread may be that of a vCPU which is there: EAGAIN, for a 0 would look counted. */
export const vcpusPending = (tgid: number, vcpus: readonly number[]): Failure =>
  new Failure(
    'EAGAIN',
    `which threads of process ${tgid} run its vCPUs ${vcpus.join(', ')} cannot be told yet; let the guest run, then try again`,
  )

/** The vCPU has no such statistic, though another may have it: EOPNOTSUPP, which perf shows as not supported. */
export const notCountedHere = (event: string, tid: number): Failure =>
  new Failure('EOPNOTSUPP', `the VM of vCPU thread ${tid} does not count event ${event}`)

/** Another event has the pair, and pairs are not shared: EOPNOTSUPP. */
export const countedAlready = (event: string, tid: number): Failure =>
  new Failure(
    'EOPNOTSUPP',
    `event ${event} of vCPU thread ${tid} is counted already; close the other event first`,
  )
