/**
 * The perf ioctls that FUSE cannot carry to a server whole: the filter traps them, and one on a descriptor of ours is
 * answered here as the kernel answers for a PMU that counts and does not sample, such as msr.
 * Counterpart: kernel/events/core.c, _perf_ioctl().
 */
import { type ErrnoName, errnoOf, Failure } from '../abi/errno.js'
import {
  PERF_EVENT_IOC_ID,
  PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
  PERF_EVENT_IOC_PAUSE_OUTPUT,
  PERF_EVENT_IOC_QUERY_BPF,
  PERF_EVENT_IOC_SET_BPF,
  PERF_EVENT_IOC_SET_FILTER,
  PERF_EVENT_IOC_SET_OUTPUT,
} from '../abi/perf-event.js'
import { perf_event_attr_layout } from '../abi/perf-event-attr.js'
import { effectiveSize, sizeInBytes } from '../abi/perf-event-attr-bytes.js'
import { int } from './argument.js'
import { readAttr } from './caller-attr.js'
import type { CallingThread, Host, Trap } from './host.js'
import { complete, type Outcome, refuse, resume } from './outcome.js'

/** A trapped ioctl on an event of ours. */
interface EventIoctl {
  readonly host: Host
  readonly caller: CallingThread
  readonly trap: Trap
  /** Our copy of the event's descriptor. */
  readonly event: number
  readonly argument: bigint
}

const NO_OUTPUT = 0xffff_ffff_ffff_ffffn
const PAGE_SIZE = 4096
/** Of perf_event_attr: where `size` lies, and how much `type` and `size` take. */
const SIZE = BigInt(perf_event_attr_layout.offsets.size)
const HEAD = perf_event_attr_layout.offsets.config

/**
 * Runs `use` with a copy of the caller's descriptor where that is an event of ours. Gives undefined where it is
 * something else, other files of the mounted tree included. A revoked event throws its ENODEV.
 */
function withEvent<T>(
  { kernel }: Host,
  caller: CallingThread,
  fd: number,
  use: (event: number) => T,
): T | undefined {
  if (caller.kindOf(fd).kind !== 'ours') return undefined
  const copy = caller.copyOurs(fd)
  try {
    return isEvent(kernel, copy) ? use(copy) : undefined
  } finally {
    kernel.close(copy)
  }
}

function isEvent(kernel: Host['kernel'], fd: number): boolean {
  try {
    kernel.ioctl(fd, PERF_EVENT_IOC_ID, new Uint8Array(8))
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENODEV') throw error
    return false
  }
}

/** Nothing of ours has a ring buffer, so there is nothing to redirect to, and nothing to detach from. */
function setOutput({ host, caller, argument }: EventIoctl): Outcome {
  if (argument === NO_OUTPUT) return complete(0)
  const fd = int(argument)
  const isPerfEvent =
    caller.kindOf(fd).kind === 'kernel event' || withEvent(host, caller, fd, () => true) === true
  return refuse(isPerfEvent ? 'EINVAL' : 'EBADF')
}

/** Only tracepoints and PMUs with address filters take one; the string is copied in first. */
function setFilter({ caller, argument }: EventIoctl): Outcome {
  const text = caller.readMemory(argument, PAGE_SIZE)
  return refuse(text.includes(0) || text.byteLength === PAGE_SIZE ? 'EINVAL' : 'EFAULT')
}

/**
 * The kernel attaches a program of its perf event kind to any event and runs it at each overflow. There is no
 * overflow here and nothing that would run it: EOPNOTSUPP says so.
 */
function setBpf({ caller, argument }: EventIoctl): Outcome {
  const program = caller.kindOf(int(argument))
  return refuse(program.kind === 'bpf program' && program.isForPerfEvents ? 'EOPNOTSUPP' : 'EINVAL')
}

const queryBpf = ({ caller }: EventIoctl): Outcome => refuse(caller.isPerfmonCapable() ? 'EINVAL' : 'EPERM')

/** What the kernel's copy-in says of the attr at an address, and the attr. */
function copyIn({ host: { kernel }, caller, argument }: EventIoctl): {
  fault: ErrnoName | undefined
  attr: Uint8Array
} {
  const copy = readAttr(caller, argument, undefined)?.bytes
  if (copy) return { fault: kernel.judgeAttr(copy), attr: copy }
  const attr = caller.readMemory(argument, HEAD)
  const size = sizeInBytes(attr)
  const isRefused = typeof size === 'number' && effectiveSize(size) instanceof Failure
  return { fault: isRefused ? kernel.judgeAttr(attr) : 'EFAULT', attr }
}

/**
 * The kernel judges the copy, the server what is left: FUSE carries the type and the size to it. A size that the
 * kernel does not take is answered with its own, in the caller's memory.
 */
function modifyAttributes(call: EventIoctl): Outcome {
  const { fault, attr } = copyIn(call)
  const { host, caller, trap, event, argument } = call
  if (fault === undefined) return complete(host.kernel.ioctl(event, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, attr))
  const isStillThere = () => host.listener.isWaiting(trap)
  if (fault === 'E2BIG') caller.writeMemory(argument + SIZE, attr.subarray(Number(SIZE), HEAD), isStillThere)
  return refuse(fault)
}

const handlers: ReadonlyMap<number, (call: EventIoctl) => Outcome> = new Map([
  [PERF_EVENT_IOC_SET_OUTPUT, setOutput],
  [PERF_EVENT_IOC_SET_FILTER, setFilter],
  [PERF_EVENT_IOC_SET_BPF, setBpf],
  [PERF_EVENT_IOC_PAUSE_OUTPUT, () => refuse('EINVAL')],
  [PERF_EVENT_IOC_QUERY_BPF, queryBpf],
  [PERF_EVENT_IOC_MODIFY_ATTRIBUTES, modifyAttributes],
])

/** The commands that the filter traps. */
export const trappedCommands: readonly number[] = [...handlers.keys()]

/** Decides a trapped ioctl; what it throws is the call's errno. A descriptor that is no event of ours is the kernel's. */
export function perfIoctl(host: Host, trap: Trap): Outcome {
  const caller = host.callingThread(trap.tid)
  const [fd, command, argument = 0n] = trap.args
  const handler = handlers.get(int(command) >>> 0)
  const run = (event: number) => handler?.({ host, caller, trap, event, argument })
  return withEvent(host, caller, int(fd), run) ?? resume
}
