/**
 * A trapped perf_event_open. An event of a mounted PMU is opened through the mounted tree alone, with the caller
 * named, and the descriptor is handed over; a call for any other PMU goes to the kernel untouched.
 *
 * The attr is judged on one copy of it. A call that the kernel was left to refuse could be rewritten by another
 * thread of the caller: the kernel then does what it would have done without us.
 */
import { errnoOf } from '../abi/errno.js'
import {
  maskOf,
  PERF_FLAG,
  PERF_FLAG_FD_NO_GROUP,
  PERF_FLAG_FD_OUTPUT,
  PERF_FLAG_PID_CGROUP,
} from '../abi/perf-event.js'
import { int } from './argument.js'
import { type CallerAttr, disabledAttr, readAttr } from './caller-attr.js'
import { findLeader, type Leader } from './group-leader.js'
import type { CallingThread, Host, Trap } from './host.js'
import { complete, gone, type Outcome, refuse, resume } from './outcome.js'
import type { PmuTypes } from './pmu-types.js'
import { PROBE_FLAGS, PROBE_MEMORY } from './probe.js'

/** A number that is neither a descriptor nor a thread: the server's answer comes where the kernel's would. */
const NONE_SUCH = -2

/** The arguments of perf_event_open(2). Of pid, cpu and group_fd the kernel looks at the low half only. */
interface Arguments {
  readonly attr: bigint
  readonly pid: number
  readonly cpu: number
  readonly group_fd: number
  readonly flags: bigint
}

const argumentsOf = ({ args: [attr = 0n, pid, cpu, group_fd, flags = 0n] }: Trap): Arguments => ({
  attr,
  pid: int(pid),
  cpu: int(cpu),
  group_fd: int(group_fd),
  flags,
})

/** The pid to ask the server for: a thread of this pid namespace, save for a cgroup's descriptor and -1. */
function targetOf(caller: CallingThread, { pid, flags }: Arguments): number {
  if ((flags & PERF_FLAG_PID_CGROUP) !== 0n || pid === -1) return pid
  if (pid === 0) return caller.tid
  return (pid > 0 ? caller.resolvePid(pid) : undefined) ?? NONE_SUCH
}

function leaderFields(leader: Leader): object {
  if (leader.kind === 'ours') return { group_ino: String(leader.ino) }
  return { group_fd: leader.kind === 'bad' ? NONE_SUCH : -1 }
}

/** What is written to `perf_event_open` in the mounted tree. */
function requestOf(caller: CallingThread, args: Arguments, attr: CallerAttr, leader: Leader): string {
  return JSON.stringify({
    attr_bytes: Buffer.from(attr.bytes).toString('hex'),
    pid: targetOf(caller, args),
    cpu: args.cpu,
    ...leaderFields(leader),
    flags: Number(args.flags),
    caller: caller.tid,
  })
}

/** FD_NO_GROUP makes the kernel drop the leader, once it has found it, unless it is to be the output target too. */
const isDropped = ({ flags }: Arguments): boolean =>
  (flags & PERF_FLAG_FD_NO_GROUP) !== 0n && (flags & PERF_FLAG_FD_OUTPUT) === 0n

/** A call for one of the kernel's PMUs: with a leader of ours it is a group across two contexts. */
function openKernelEvent(
  { kernel }: Host,
  caller: CallingThread,
  args: Arguments,
  attr: CallerAttr,
): Outcome {
  const leader = findLeader(caller, args.group_fd)
  if (leader.kind !== 'ours') return resume
  return refuse(kernel.judgeAttr(attr.bytes) ?? 'EINVAL')
}

/** Opens an event of ours. A kernel event as its leader is refused last, as the kernel refuses another context. */
async function openOurEvent(host: Host, trap: Trap, attr: CallerAttr): Promise<Outcome> {
  const caller = host.callingThread(trap.tid)
  const args = argumentsOf(trap)
  const leader = findLeader(caller, args.group_fd)
  const isMixed = leader.kind === 'kernel event' && !isDropped(args)
  const request = requestOf(caller, args, isMixed ? disabledAttr(attr) : attr, leader)
  if (!host.listener.isWaiting(trap)) return gone
  const fd = await host.tree.openEvent(request)
  if (!isMixed) return { kind: 'inject', fd, isCloseOnExec: (args.flags & PERF_FLAG.FD_CLOEXEC) !== 0n }
  host.kernel.close(fd)
  return refuse('EINVAL')
}

function answerProbe({ tree }: Host, caller: CallingThread, address: bigint): Outcome {
  return caller.readMemory(address, PROBE_MEMORY).byteLength < PROBE_MEMORY
    ? refuse('EFAULT')
    : complete(tree.device)
}

/** A caller that is more privileged than this process is out of reach: the kernel answers it. */
function attrOfCaller(host: Host, caller: CallingThread, address: bigint): CallerAttr | undefined {
  try {
    return readAttr(caller, address, host.kernel.attrSize)
  } catch (error) {
    if (errnoOf(error) === 'EPERM') return undefined
    throw error
  }
}

/** Decides a trapped perf_event_open; what it throws is the call's errno. */
export async function perfEventOpen(host: Host, types: PmuTypes, trap: Trap): Promise<Outcome> {
  const caller = host.callingThread(trap.tid)
  const args = argumentsOf(trap)
  if (args.flags === PROBE_FLAGS) return answerProbe(host, caller, args.attr)
  if ((args.flags & ~maskOf(PERF_FLAG)) !== 0n) return resume
  const attr = attrOfCaller(host, caller, args.attr)
  if (attr === undefined) return resume
  if (!(await types.isOurs(attr.type))) return openKernelEvent(host, caller, args, attr)
  return await openOurEvent(host, trap, attr)
}
