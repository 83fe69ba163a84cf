/**
 * ioctl(2) on an event. Counterpart: _perf_ioctl() in kernel/events/core.c.
 *
 * There is no ring buffer, no BPF program and no address filter here, so that the commands that need one give what
 * the kernel gives for an event without.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError, orThrow } from '../abi/errno.js'
import {
  PERF_EF_RELOAD,
  PERF_EF_UPDATE,
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_ID,
  PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
  PERF_EVENT_IOC_PAUSE_OUTPUT,
  PERF_EVENT_IOC_PERIOD,
  PERF_EVENT_IOC_QUERY_BPF,
  PERF_EVENT_IOC_REFRESH,
  PERF_EVENT_IOC_RESET,
  PERF_EVENT_IOC_SET_BPF,
  PERF_EVENT_IOC_SET_FILTER,
  PERF_EVENT_IOC_SET_OUTPUT,
  PERF_EVENT_STATE_ACTIVE,
  PERF_EVENT_STATE_REVOKED,
  PERF_IOC_FLAG_GROUP,
  PERF_PERIOD_SIGN,
} from '../abi/perf-event.js'
import { effectiveSize } from '../abi/perf-event-attr-bytes.js'
import { struct, u32, u64 } from '../abi/struct.js'
import type { PerfEvent } from './event.js'
import { groupOf } from './event.js'
import { disable, enable, settle } from './lifecycle.js'
import { callCheckPeriod, callStart, callStop, whileDisabled } from './pmu-calls.js'
import { perf_event_read } from './read.js'

/** A command as it arrives. */
export interface PerfIoctl {
  readonly cmd: number
  /** The argument itself: a number, or an address in the caller's memory. */
  readonly arg: bigint
  /** What lies at that address, as far as the command's number says. */
  readonly input: Uint8Array
}

/** Who calls and what it can name. */
export interface IoctlContext {
  /** Absent: somebody without rights. */
  readonly caller?: Caller
  /** The event behind one of the caller's descriptors; absent: none. */
  readonly eventOfFd?: (fd: number) => PerfEvent | undefined
}

/** What ioctl(2) returns, and what is copied to the caller. */
export interface PerfIoctlReply {
  readonly result: number
  readonly output?: Uint8Array
}

type Command = (event: PerfEvent, request: PerfIoctl, context: IoctlContext) => Uint8Array | undefined

/** Runs `change` on the event, or with PERF_IOC_FLAG_GROUP on its whole group, the leader first. */
const forEach =
  (change: (event: PerfEvent) => void): Command =>
  (event, { arg }) => {
    const members = (arg & PERF_IOC_FLAG_GROUP) === 0n ? [event] : groupOf(event)
    for (const member of members) change(member)
    return undefined
  }

function reset(event: PerfEvent): void {
  perf_event_read(event)
  event.count = 0n
}

const refresh: Command = (event, { arg }) => {
  if (event.attr.inherit || !event.isSampling)
    throw new ErrnoError('EINVAL', 'Only a sampling event without inherit can be refreshed')
  event.event_limit += Number(BigInt.asIntN(32, arg))
  enable(event)
  return undefined
}

/** struct { u64 value } and so on: what the commands with a pointer find behind it. */
const u64Argument = struct('u64', 8, { value: u64 })
const attrHead = struct('perf_event_attr, first words', 8, { type: u32, size: u32 })

function decodeInput<T>(layout: { size: number; decode(bytes: Uint8Array): T }, input: Uint8Array): T {
  if (input.byteLength < layout.size)
    throw new ErrnoError('EFAULT', `The argument ends before ${layout.size} bytes`)
  return layout.decode(input)
}

function checkPeriod(event: PerfEvent, value: bigint): void {
  if (!event.isSampling) throw new ErrnoError('EINVAL', 'A counting event has no period')
  if (value === 0n) throw new ErrnoError('EINVAL', 'A period of 0 would be no sampling: give 1 or more')
  const maxRate = event.core.host.maxSampleRate()
  if (event.attr.freq && value > maxRate)
    throw new ErrnoError(
      'EINVAL',
      `A frequency of ${value} Hz is above perf_event_max_sample_rate, ${maxRate}`,
    )
  orThrow(callCheckPeriod(event, value))
  if (!event.attr.freq && (value & PERF_PERIOD_SIGN) !== 0n)
    throw new ErrnoError('EINVAL', 'A period must be below 2^63')
}

const period: Command = (event, { input }) => {
  const { value } = decodeInput(u64Argument, input)
  checkPeriod(event, value)
  event.attr = { ...event.attr, sample_period: value }
  event.hw.sample_period = value
  if (event.state !== PERF_EVENT_STATE_ACTIVE) return undefined
  whileDisabled(event.pmu, () => {
    callStop(event, PERF_EF_UPDATE)
    callStart(event, PERF_EF_RELOAD)
  })
  return undefined
}

const ALL_ONES = (1n << 64n) - 1n

const setOutput: Command = (_event, { arg }, { eventOfFd }) => {
  if (arg === ALL_ONES) return undefined
  if (!eventOfFd?.(Number(BigInt.asIntN(32, arg))))
    throw new ErrnoError('EBADF', 'SET_OUTPUT wants the descriptor of an event, or -1 as an unsigned long')
  throw new ErrnoError('EINVAL', 'Cannot send the output there: events have no ring buffer here')
}

const setFilter: Command = () => {
  throw new ErrnoError('EINVAL', 'The PMU of this event takes no filter')
}

const setBpf: Command = () => {
  throw new ErrnoError('EBADF', 'No BPF program can be reached from here')
}

const pauseOutput: Command = () => {
  throw new ErrnoError('EINVAL', 'There is no output to pause: events have no ring buffer here')
}

const queryBpf: Command = (event, _request, { caller }) => {
  if (!caller || !event.core.host.isPerfmonCapable(caller))
    throw new ErrnoError('EPERM', 'Asking for BPF programs needs CAP_PERFMON')
  throw new ErrnoError('EINVAL', 'Only a tracepoint has BPF programs')
}

/** Judged by the two words that arrive: no event here is a breakpoint, whose other fields alone could change. */
const modifyAttributes: Command = (event, { input }) => {
  const { type, size } = decodeInput(attrHead, input)
  orThrow(effectiveSize(size))
  if (type !== event.attr.type)
    throw new ErrnoError('EINVAL', `The event has type ${event.attr.type}, which cannot become ${type}`)
  throw new ErrnoError('EOPNOTSUPP', 'Only a breakpoint can be modified')
}

const commands: ReadonlyMap<number, Command> = new Map([
  [PERF_EVENT_IOC_ENABLE, forEach(enable)],
  [PERF_EVENT_IOC_DISABLE, forEach(disable)],
  [PERF_EVENT_IOC_RESET, forEach(reset)],
  [PERF_EVENT_IOC_REFRESH, refresh],
  [PERF_EVENT_IOC_PERIOD, period],
  [PERF_EVENT_IOC_ID, event => u64Argument.encode({ value: event.id })],
  [PERF_EVENT_IOC_SET_OUTPUT, setOutput],
  [PERF_EVENT_IOC_SET_FILTER, setFilter],
  [PERF_EVENT_IOC_SET_BPF, setBpf],
  [PERF_EVENT_IOC_PAUSE_OUTPUT, pauseOutput],
  [PERF_EVENT_IOC_QUERY_BPF, queryBpf],
  [PERF_EVENT_IOC_MODIFY_ATTRIBUTES, modifyAttributes],
])

/**
 * Does what a PERF_EVENT_IOC_ command says.
 *
 * @throws {ErrnoError} ENODEV when the event's PMU is gone, ENOTTY for a command that is none, else the command's own
 */
export function perf_ioctl(event: PerfEvent, request: PerfIoctl, context: IoctlContext = {}): PerfIoctlReply {
  settle(event)
  if (event.state <= PERF_EVENT_STATE_REVOKED) throw new ErrnoError('ENODEV', 'The PMU of this event is gone')
  const command = commands.get(request.cmd)
  if (!command) throw new ErrnoError('ENOTTY', `0x${request.cmd.toString(16)} is no command of a perf event`)
  const output = command(event, request, context)
  return output ? { result: 0, output } : { result: 0 }
}
