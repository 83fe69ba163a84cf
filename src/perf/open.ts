/**
 * perf_event_open(2), in the kernel's order: which errno a caller sees where several apply is part of the
 * interface, and tools probe by it. Counterpart: sys_perf_event_open() in kernel/events/core.c.
 *
 * Security hooks, kernel lockdown and waits for the thread's exec have no counterpart here.
 */
import type { Caller } from '../abi/caller.js'
import { Failure } from '../abi/errno.js'
import { PERF_ATTACH_EXCLUSIVE, PERF_PMU_CAP_EXCLUSIVE } from '../abi/perf-event.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import { decodeAttr } from '../abi/perf-event-attr-bytes.js'
import type { SampleArch } from '../abi/perf-event-regs.js'
import type { PerfEventContext } from './context.js'
import type { ContextTable } from './context-table.js'
import { judgeAttr } from './copy-attr.js'
import type { EventCore, PerfEvent } from './event.js'
import {
  auxRefusal,
  exclusiveKindRefusal,
  exclusiveRefusal,
  groupRefusal,
  movesGroup,
  sizeRefusal,
} from './group-checks.js'
import { install, moveGroup } from './groups.js'
import type { EventInit } from './init-event.js'
import { free } from './lifecycle.js'
import type { Request, Resolved } from './open-checks.js'
import * as check from './open-checks.js'

/** The arguments of perf_event_open(2). */
export interface PerfEventOpen {
  /** A decoded attr, or the caller's memory, which is copied in by the rules of its size. */
  readonly attr: perf_event_attr | Uint8Array
  readonly pid: number
  readonly cpu: number
  /** The event behind the descriptor, -1 where none is given, EBADF where it is no event's. */
  readonly group_fd: PerfEvent | -1 | 'EBADF'
  readonly flags: bigint
  readonly caller: Caller
  /** Takes the descriptor that a success will need: asked where the kernel does, so that EMFILE has its place. */
  readonly reserveFd?: () => Failure | undefined
}

/** How the core was set up, and what its open events need. */
export interface OpenEnvironment extends EventCore {
  readonly arch: SampleArch
  /** How much of perf_event_attr is known. */
  readonly attrSize: number
  /** The caller's right comes before the PMU's verdict, which else tells a stranger about threads of others. */
  readonly permissionFirst: boolean
  readonly contexts: ContextTable
  readonly eventInit: EventInit
  nextId(): bigint
  /** The live events of a PMU. */
  eventsOf(pmu: PerfEvent['pmu']): Iterable<PerfEvent>
  /** A new event is complete as far as its PMU goes. */
  made(event: PerfEvent): void
}

function copyAttr(env: OpenEnvironment, { attr, caller }: PerfEventOpen): perf_event_attr | Failure {
  const { host } = env
  const decoded = attr instanceof Uint8Array ? decodeAttr(attr, env.attrSize) : attr
  if (decoded instanceof Failure) return decoded
  return judgeAttr(decoded, {
    arch: env.arch,
    maxStack: host.maxStack(),
    allowKernel: () => check.allowKernel(host, caller),
  })
}

const beforeDescriptors = [
  check.kernelAllowed,
  check.namespacesAllowed,
  check.periodInRange,
  check.physAddrAllowed,
  check.cgroupHasCpu,
]
const beforeEvent = [check.inheritMatches, check.cpuInRange]
const beforeInit = [check.sigtrapHasTask, check.inheritedReadHasTid]

/** What a PMU's new event must pass, in two parts: an exclusive PMU is asked between them. */
const afterInit = [check.hasTaskContext, check.auxActionsPossible]
const afterExclusive = [check.callchainFits, check.samplingPossible, check.clockUsable]

/** Opens an event. The result is ended with perf_release(). */
export function perf_event_open(env: OpenEnvironment, args: PerfEventOpen): PerfEvent | Failure {
  const badFlags = check.checkFlags(args.flags)
  if (badFlags) return badFlags
  const attr = copyAttr(env, args)
  if (attr instanceof Failure) return attr
  const { pid, cpu, flags, caller } = args
  const request: Request = { host: env.host, attr, pid, cpu, flags, caller }
  const refusal = check.firstFailure(beforeDescriptors, request) ?? args.reserveFd?.()
  if (refusal) return refusal
  const group = check.findGroup(args.group_fd, flags)
  if (group instanceof Failure) return group
  const task = check.findTask(request)
  if (task instanceof Failure) return task
  const resolved: Resolved = { ...request, ...group, task }
  const event = allocate(env, resolved)
  if (event instanceof Failure) {
    task?.release()
    return event
  }
  const failure = judgeEvent(env, resolved, event) ?? installEvent(env, resolved, event)
  if (!failure) return event
  free(event)
  return failure
}

/** perf_event_alloc() as far as the PMU's own verdict. */
function allocate(env: OpenEnvironment, resolved: Resolved): PerfEvent | Failure {
  const { attr, cpu, task, leader } = resolved
  const failure =
    check.firstFailure(beforeEvent, resolved) ??
    (env.permissionFirst ? check.permitted(resolved) : undefined) ??
    check.firstFailure(beforeInit, resolved)
  if (failure) return failure
  const event = env.eventInit.init({ core: env, id: env.nextId(), attr, cpu, task, group_leader: leader })
  if (!(event instanceof Failure)) env.made(event)
  return event
}

/** What the core refuses of an event that its PMU has taken. */
function judgeEvent(env: OpenEnvironment, resolved: Resolved, event: PerfEvent): Failure | undefined {
  const judge = (checks: typeof afterInit) =>
    check.firstFailure(
      checks.map(one => (subject: PerfEvent) => one(subject, resolved)),
      event,
    )
  const early = judge(afterInit) ?? exclusiveKindRefusal(event, env.eventsOf(event.pmu))
  if (early) return early
  if ((event.pmu.capabilities & PERF_PMU_CAP_EXCLUSIVE) !== 0) event.attach_state |= PERF_ATTACH_EXCLUSIVE
  return judge(afterExclusive) ?? check.permitted(resolved)
}

function installEvent(env: OpenEnvironment, resolved: Resolved, event: PerfEvent): Failure | undefined {
  const { host, task, leader } = resolved
  // Its PMU may have moved it to another CPU than was asked for.
  const { cpu } = event
  if (task?.isExited) return new Failure('ESRCH', `thread ${task.tid} has exited`)
  if (!task && !host.isCpuOnline(cpu)) return new Failure('ENODEV', `cpu ${cpu} is offline`)
  const ctx = env.contexts.find(task, cpu)
  const failure = joinRefusal(resolved, event, ctx)
  if (failure) {
    ctx.drop(event)
    return failure
  }
  // A software event in a hardware group is scheduled with it, a hardware one takes a software group along.
  const isGuest = leader !== undefined && event.isSoftware
  const pmu_ctx = (isGuest ? leader.pmu_ctx : undefined) ?? ctx.pmuContext(event.pmu)
  if (leader && movesGroup(event, leader)) moveGroup(leader, pmu_ctx)
  install(event, ctx, pmu_ctx)
  return undefined
}

function joinRefusal(resolved: Resolved, event: PerfEvent, ctx: PerfEventContext): Failure | undefined {
  const { leader, output } = resolved
  return (
    (leader && groupRefusal(event, leader, ctx)) ??
    (output && new Failure('EINVAL', 'FD_OUTPUT: the target has no ring buffer, as no event has here')) ??
    sizeRefusal(event) ??
    auxRefusal(event, leader) ??
    exclusiveRefusal(event, ctx)
  )
}
