/**
 * The perf core: who opens events, and what happens to many of them at once. Counterpart: kernel/events/core.c.
 *
 * Everything runs in one thread and to its end, so that there is no locking. Time, threads and rights come from
 * the host, counts from the PMUs. What a descriptor does stands in event-file.ts.
 */
import type { Failure } from '../abi/errno.js'
import { PERF_ATTR_SIZE } from '../abi/perf-event-attr.js'
import type { SampleArch } from '../abi/perf-event-regs.js'
import { ContextTable } from './context-table.js'
import type { PerfEvent } from './event.js'
import { EventInit } from './init-event.js'
import { execContext, exitContext, exitEvent, revokeEvent } from './lifecycle.js'
import type { OpenEnvironment, PerfEventOpen } from './open.js'
import { perf_event_open } from './open.js'
import type { Pmu } from './pmu.js'
import type { PmuRegistry } from './registry.js'
import type { PerfHost, Task } from './task.js'

/** How a core differs from the kernel's defaults. */
export interface PerfCoreOptions {
  /** Judge the caller's right to a thread before the PMU is asked about it. */
  readonly permissionFirst?: boolean
  /** How much of perf_event_attr is known, the newest size where not given: the running kernel's may be smaller. */
  readonly attrSize?: number
  /** Whose registers samples name; x64 where not given. */
  readonly arch?: SampleArch
  /** Ids begin above this, 0 where not given: a reader of several cores tells events apart by their ids alone. */
  readonly idsAbove?: bigint
}

export class PerfCore implements OpenEnvironment {
  readonly host: PerfHost
  readonly arch: SampleArch
  readonly attrSize: number
  readonly permissionFirst: boolean
  readonly contexts: ContextTable
  readonly eventInit: EventInit
  readonly #byPmu = new Map<Pmu, Set<PerfEvent>>()
  #lastId: bigint

  constructor(host: PerfHost, registry: PmuRegistry, options: PerfCoreOptions = {}) {
    this.host = host
    this.arch = options.arch ?? 'x64'
    this.attrSize = options.attrSize ?? PERF_ATTR_SIZE
    this.permissionFirst = options.permissionFirst ?? false
    this.#lastId = options.idsAbove ?? 0n
    this.contexts = new ContextTable(host)
    this.eventInit = new EventInit(registry, this.arch)
    registry.onRevoke(pmu => this.#revoke(pmu))
  }

  /** perf_event_open(2): the event, or why not. It is ended with perf_release(). */
  perf_event_open(args: PerfEventOpen): PerfEvent | Failure {
    return perf_event_open(this, args)
  }

  /** The thread has exited: its events keep their last totals. */
  taskExited(task: Task): void {
    const ctx = this.contexts.ofTask(task)
    if (ctx) exitContext(ctx)
  }

  /** The thread has called execve(2). */
  taskExeced(task: Task): void {
    const ctx = this.contexts.ofTask(task)
    if (ctx) execContext(ctx)
  }

  /** Ends events as if their thread had exited: what they count is gone though the thread lives. */
  exitEvents(events: Iterable<PerfEvent>): void {
    for (const event of events) exitEvent(event)
  }

  /** How many events are open, also those that have ended and are not closed. */
  get eventCount(): number {
    let count = 0
    for (const events of this.#byPmu.values()) count += events.size
    return count
  }

  nextId(): bigint {
    this.#lastId += 1n
    return this.#lastId
  }

  eventsOf(pmu: Pmu): Iterable<PerfEvent> {
    return this.#byPmu.get(pmu) ?? []
  }

  made(event: PerfEvent): void {
    const events = this.#byPmu.get(event.pmu) ?? new Set()
    this.#byPmu.set(event.pmu, events.add(event))
  }

  freed(event: PerfEvent): void {
    const events = this.#byPmu.get(event.pmu)
    events?.delete(event)
    if (events?.size === 0) this.#byPmu.delete(event.pmu)
  }

  #revoke(pmu: Pmu): void {
    for (const event of this.eventsOf(pmu)) revokeEvent(event)
  }
}
