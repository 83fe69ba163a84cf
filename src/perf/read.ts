/**
 * read(2) on an event. Counterpart: perf_event_read() and __perf_read() in kernel/events/core.c.
 *
 * The layout is that of the descriptor that is read; a GROUP read on any member gives the whole group, the leader
 * first. The times of a group are its leader's.
 */
import { ErrnoError, type Failure, orThrow } from '../abi/errno.js'
import {
  PERF_EVENT_STATE_ACTIVE,
  PERF_EVENT_STATE_ERROR,
  PERF_EVENT_STATE_INACTIVE,
  PERF_FORMAT_GROUP,
  PERF_FORMAT_ID,
  PERF_FORMAT_LOST,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
  PERF_PMU_TXN_READ,
} from '../abi/perf-event.js'
import type { PerfEvent } from './event.js'
import { groupOf } from './event.js'
import { atOnce, updateTime } from './event-time.js'
import { settle } from './lifecycle.js'
import { callRead, transaction } from './pmu-calls.js'
import { retry } from './sched.js'

/** Bytes in a u64. */
const U64 = 8

const has = (read_format: bigint, bit: bigint): boolean => (read_format & bit) !== 0n

/** How many bytes a read gives of a group with so many siblings: __perf_event_read_size(). */
export function readSize(read_format: bigint, nr_siblings: number): number {
  const one = 1 + Number(has(read_format, PERF_FORMAT_ID)) + Number(has(read_format, PERF_FORMAT_LOST))
  const times =
    Number(has(read_format, PERF_FORMAT_TOTAL_TIME_ENABLED)) +
    Number(has(read_format, PERF_FORMAT_TOTAL_TIME_RUNNING))
  const isGroup = has(read_format, PERF_FORMAT_GROUP)
  return U64 * (isGroup ? 1 + times + (nr_siblings + 1) * one : times + one)
}

/** Why an event that is to count is not placed, where that is more than a lack of room: its group is placed whole. */
function refusalOf(event: PerfEvent): Failure | undefined {
  if (event.state !== PERF_EVENT_STATE_INACTIVE) return undefined
  return groupOf(event).find(member => member.isEnabled && member.failure)?.failure
}

/**
 * Brings count and times of one event up to date; its thread's exit is settled already, as each asks the kernel.
 *
 * @throws {ErrnoError} EIO when its PMU cannot read the count, or its callback threw
 */
export function perf_event_read(event: PerfEvent): void {
  atOnce(event, () => {
    retry(event)
    if (event.isEnabled) updateTime(event)
  })
  orThrow(event.state === PERF_EVENT_STATE_ACTIVE ? callRead(event) : refusalOf(event))
}

/** The same for a whole group, read by its PMU at one moment. */
function readGroup(leader: PerfEvent): void {
  const members = groupOf(leader)
  atOnce(leader, () => {
    retry(leader)
    for (const event of members) if (event.isEnabled) updateTime(event)
  })
  orThrow(refusalOf(leader))
  if (leader.state !== PERF_EVENT_STATE_ACTIVE) return
  let failure: Failure | undefined
  const readMembers = () => {
    for (const event of members) if (event.state === PERF_EVENT_STATE_ACTIVE) failure ??= callRead(event)
    return failure === undefined
  }
  transaction((leader.pmu_ctx ?? leader).pmu, PERF_PMU_TXN_READ, readMembers, () => undefined)
  orThrow(failure)
}

/** What an event has counted, and the nanoseconds that it was enabled and running. */
export interface EventValue {
  readonly count: bigint
  readonly enabled: bigint
  readonly running: bigint
}

/** Reads one event: its own count and times, up to date. */
export function perf_event_read_value(event: PerfEvent): EventValue {
  settle(event)
  perf_event_read(event)
  return { count: event.count, enabled: event.total_time_enabled, running: event.total_time_running }
}

/** No samples are lost where no buffer is mapped. */
const LOST = 0n

function timesOf(event: PerfEvent, read_format: bigint): bigint[] {
  const times: bigint[] = []
  if (has(read_format, PERF_FORMAT_TOTAL_TIME_ENABLED)) times.push(event.total_time_enabled)
  if (has(read_format, PERF_FORMAT_TOTAL_TIME_RUNNING)) times.push(event.total_time_running)
  return times
}

function identityOf(event: PerfEvent, read_format: bigint): bigint[] {
  const identity: bigint[] = []
  if (has(read_format, PERF_FORMAT_ID)) identity.push(event.id)
  if (has(read_format, PERF_FORMAT_LOST)) identity.push(LOST)
  return identity
}

function oneValue(event: PerfEvent): bigint[] {
  const { read_format } = event.attr
  perf_event_read(event)
  return [event.count, ...timesOf(event, read_format), ...identityOf(event, read_format)]
}

function groupValues(event: PerfEvent): bigint[] {
  const { read_format } = event.attr
  readGroup(event.group_leader)
  const members = groupOf(event)
  const values = members.flatMap(member => [member.count, ...identityOf(member, read_format)])
  return [BigInt(members.length), ...timesOf(event.group_leader, read_format), ...values]
}

/**
 * Reads an event into a buffer of `size` bytes: exactly what its `read_format` says, fresh each time.
 *
 * @returns no bytes for a pinned event that found no room
 * @throws {ErrnoError} ENOSPC when the buffer is too small for the group as it is now, EIO when a count cannot be read
 */
export function perf_read(event: PerfEvent, size: number): Uint8Array {
  settle(event)
  if (event.state === PERF_EVENT_STATE_ERROR) return new Uint8Array(0)
  const { read_format } = event.attr
  const wanted = readSize(read_format, event.group_leader.sibling_list.size)
  if (size < wanted)
    throw new ErrnoError('ENOSPC', `Cannot read the event into ${size} bytes: it needs ${wanted}`)
  const values = has(read_format, PERF_FORMAT_GROUP) ? groupValues(event) : oneValue(event)
  const bytes = new Uint8Array(values.length * U64)
  const view = new DataView(bytes.buffer)
  for (const [i, value] of values.entries()) view.setBigUint64(i * U64, value, true)
  return bytes
}
