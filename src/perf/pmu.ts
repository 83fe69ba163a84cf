/**
 * What a PMU is to the perf core. Counterpart: struct pmu in include/linux/perf_event.h.
 *
 * The callbacks have the kernel's names, arguments and contracts, save one: what the kernel calls with interrupts
 * off is called here from the one thread that serves, so that nothing else runs meanwhile. A callback must not
 * block. A PMU whose counts must be fetched first says so through `refresher`.
 */
import type { Caller } from '../abi/caller.js'
import type { Failure } from '../abi/errno.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import type { PerfEvent } from './event.js'

/** Which context an event of this PMU on a thread joins; without one only CPUs can be counted. */
export type TaskContextNumber = 'perf_sw_context' | 'perf_hw_context' | 'perf_invalid_context'

/** One attribute file: its text ends with a newline; without `store` it is read-only. */
export interface Attribute {
  readonly name: string
  /** Permission bits, 0o444 where not given (0o644 with `store`). */
  readonly mode?: number
  show(): string
  /** Takes what was written, at most 4096 bytes; throws an ErrnoError to refuse. */
  store?(text: string): void
}

/** A folder of attributes, or, without a name, attributes beside `type`. Read anew at each use: it may grow. */
export interface AttributeGroup {
  readonly name?: string
  readonly attrs: readonly Attribute[]
}

/** Brings counts up to date before the synchronous core uses them. */
export interface Refresher {
  /**
   * Fetches a snapshot taken after this call; `done` is called later, in order with all others that wait on the
   * same refresher, never within this call. The returned function withdraws the request.
   */
  refresh(done: (failure?: Failure) => void): () => void
}

/** Nanoseconds that a thread was counted, and that it spent on one CPU meanwhile; u64. */
export interface TimesOnCpu {
  readonly enabled: bigint
  readonly running: bigint
}

/** What an event that may not exist yet is to count. */
export interface RefreshTarget {
  readonly attr: perf_event_attr
  /** The thread, 0 or below where none is named. */
  readonly tid: number
  readonly caller: Caller
}

export interface Pmu {
  readonly name: string
  readonly task_ctx_nr: TaskContextNumber
  /** PERF_PMU_CAP_ bits. */
  readonly capabilities: number
  readonly attr_groups: readonly AttributeGroup[]
  /** The file of events/ that a request means by a name that is none of them, where an event has several names. */
  eventFile?(name: string): string

  /** Refuses with a Failure (ENOENT: not mine), or sets hw state, `pmu_private` and `destroy`. */
  event_init(event: PerfEvent): Failure | undefined
  /**
   * Places the event; with PERF_EF_START it begins to count. A Failure means there is no room, and it waits; EIO means
   * that its count cannot be had, and who reads it is told so.
   */
  add(event: PerfEvent, flags: number): Failure | undefined
  /** Takes it off again, its count folded in. */
  del(event: PerfEvent, flags: number): void
  /**
   * Has an event that was stopped in its place go on. add() starts events; this is called only where a sampling event
   * gets another period, so never by a PMU with PERF_PMU_CAP_NO_INTERRUPT.
   */
  start(event: PerfEvent, flags: number): void
  /** With PERF_EF_UPDATE the count is folded in. */
  stop(event: PerfEvent, flags: number): void
  /** Folds the count in without stopping. Throws EIO where it cannot be read now: the next read is to have it all. */
  read(event: PerfEvent): void

  pmu_enable?(): void
  pmu_disable?(): void
  start_txn?(flags: number): void
  commit_txn?(): Failure | undefined
  cancel_txn?(): void
  check_period?(event: PerfEvent, value: bigint): Failure | undefined

  /**
   * Whose refresh must come before an event on this target is opened, or undefined where the core may run at once.
   * Asked again after each refresh, so that finding a thread and fetching its counts can follow each other.
   */
  refresher?(target: RefreshTarget): Refresher | undefined
  /** Whose refresh must come before this event is started, stopped or read. */
  eventRefresher?(event: PerfEvent): Refresher | undefined
  /**
   * How long an event on a thread and one CPU was enabled and on that CPU, from origins of its own, as whoever follows the
   * thread says. The core then places it wherever the thread is, and takes its times while it is placed from here;
   * undefined: the core follows the thread itself. It must not throw.
   */
  timesOnCpu?(event: PerfEvent): TimesOnCpu | undefined
}
