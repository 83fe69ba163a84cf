/**
 * Contexts: the events of one thread or of one CPU, and per PMU the groups among them that are to be scheduled.
 * Counterpart: struct perf_event_context and struct perf_event_pmu_context.
 *
 * A context's time is its thread's time on a CPU, or the wall clock of its CPU. It never steps back, whatever
 * the source does: a negative difference would be an enormous u64. Pinned groups go before flexible ones, each in
 * the order of creation.
 */
import type { PerfEvent } from './event.js'
import type { Pmu } from './pmu.js'
import type { Task } from './task.js'

/** The groups of a context that are scheduled on one PMU, by their leaders. */
export class PmuContext {
  readonly pmu: Pmu
  readonly pinned = new Set<PerfEvent>()
  readonly flexible = new Set<PerfEvent>()

  constructor(pmu: Pmu) {
    this.pmu = pmu
  }

  /** Whether its groups never compete for room. */
  get isSoftware(): boolean {
    return this.pmu.task_ctx_nr === 'perf_sw_context'
  }

  groupsOf(leader: PerfEvent): Set<PerfEvent> {
    return leader.attr.pinned ? this.pinned : this.flexible
  }
}

/** Where a context's time and place come from, and who keeps it. */
export interface ContextHost {
  now(): bigint
  /** Whether the context's thread is on this CPU now; asked for events that name both. */
  isOnCpu(cpu: number): boolean
  /** The last event was removed. */
  onEmpty(): void
}

export class PerfEventContext {
  /** The thread, or undefined for a CPU's context. */
  readonly task: Task | undefined
  /** Every event that is installed here. */
  readonly event_list = new Set<PerfEvent>()
  readonly #pmus = new Map<Pmu, PmuContext>()
  readonly #host: ContextHost
  #time = 0n
  #isHeld = false

  constructor(task: Task | undefined, host: ContextHost) {
    this.task = task
    this.#host = host
  }

  /** Context time now, in nanoseconds. */
  time(): bigint {
    if (this.#isHeld) return this.#time
    const now = this.#host.now()
    if (now > this.#time) this.#time = now
    return this.#time
  }

  /**
   * Makes a change at one moment, as the kernel does: it brings ctx->time up to date once. An event that passes
   * through INACTIVE on its way would otherwise have been enabled for longer than it ran, and perf scales by that.
   */
  atOnce<T>(change: () => T): T {
    if (this.#isHeld) return change()
    this.time()
    this.#isHeld = true
    try {
      return change()
    } finally {
      this.#isHeld = false
    }
  }

  /** Whether an event of this context may be on its PMU where the context is now: event_filter_match(). */
  matchesCpu(event: PerfEvent): boolean {
    if (event.cpu < 0 || this.task === undefined) return true
    return event.pmu.timesOnCpu?.(event) !== undefined || this.#host.isOnCpu(event.cpu)
  }

  /** The part of this context that belongs to a PMU. */
  pmuContext(pmu: Pmu): PmuContext {
    const found = this.#pmus.get(pmu)
    if (found) return found
    const fresh = new PmuContext(pmu)
    this.#pmus.set(pmu, fresh)
    return fresh
  }

  /** Forgets a removed event, or one that was never installed; with the last one the context itself goes. */
  drop(event: PerfEvent): void {
    this.event_list.delete(event)
    if (this.event_list.size === 0) this.#host.onEmpty()
  }
}
