/**
 * A PMU over plain numbers: each config is a counter that a test moves. It keeps hw.state as the kernel's drivers
 * do, logs its callbacks, has as many slots as it is given, and refuses or throws where it is told to.
 */
import { Failure } from '../../../src/abi/errno.js'
import {
  PERF_EF_START,
  PERF_EF_UPDATE,
  PERF_HES_STOPPED,
  PERF_HES_UPTODATE,
} from '../../../src/abi/perf-event.js'
import type { PerfEvent } from '../../../src/perf/event.js'
import type { AttributeGroup, Pmu, TaskContextNumber } from '../../../src/perf/pmu.js'

export interface FakePmuOptions {
  readonly name?: string
  readonly task_ctx_nr?: TaskContextNumber
  readonly capabilities?: number
  readonly slots?: number
  /** Takes events of any type, as the PMUs behind generic events do. */
  readonly takesAnyType?: boolean
}

export class FakePmu implements Pmu {
  readonly name: string
  readonly task_ctx_nr: TaskContextNumber
  readonly capabilities: number
  readonly attr_groups: readonly AttributeGroup[] = []
  readonly log: string[] = []
  readonly counters = new Map<bigint, bigint>()
  readonly placed = new Set<PerfEvent>()
  slots: number
  verdict: Failure | undefined
  periodVerdict: Failure | undefined
  throwsIn: string | undefined
  /** The type that event_init wants; set when the PMU is registered. */
  type = -1
  readonly #takesAnyType: boolean

  constructor(options: FakePmuOptions = {}) {
    this.name = options.name ?? 'fake'
    this.task_ctx_nr = options.task_ctx_nr ?? 'perf_sw_context'
    this.capabilities = options.capabilities ?? 0
    this.slots = options.slots ?? Number.POSITIVE_INFINITY
    this.#takesAnyType = options.takesAnyType ?? false
  }

  /** Something happens: every placed event of this config is to count it. */
  tick(config: bigint, by = 1n): void {
    this.counters.set(config, BigInt.asUintN(64, this.raw(config) + by))
  }

  raw(config: bigint): bigint {
    return this.counters.get(config) ?? 0n
  }

  event_init(event: PerfEvent): Failure | undefined {
    this.#called('event_init')
    if (event.attr.type !== this.type && !this.#takesAnyType) return new Failure('ENOENT')
    if (this.verdict) return this.verdict
    event.hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE
    event.destroy = () => this.#called('destroy')
    return undefined
  }

  add(event: PerfEvent, flags: number): Failure | undefined {
    this.#called('add')
    if (this.placed.size >= this.slots) return new Failure('ENOSPC')
    this.placed.add(event)
    if (flags & PERF_EF_START) this.start(event)
    return undefined
  }

  del(event: PerfEvent, _flags: number): void {
    this.placed.delete(event)
    this.stop(event, PERF_EF_UPDATE)
    this.#called('del')
  }

  start(event: PerfEvent): void {
    event.hw.prev_count = this.raw(event.attr.config)
    event.hw.state = 0
    this.#called('start')
  }

  stop(event: PerfEvent, flags: number): void {
    if (!(event.hw.state & PERF_HES_STOPPED) && flags & PERF_EF_UPDATE) this.#fold(event)
    event.hw.state |= PERF_HES_STOPPED | PERF_HES_UPTODATE
    this.#called('stop')
  }

  read(event: PerfEvent): void {
    this.#fold(event)
    this.#called('read')
  }

  check_period(): Failure | undefined {
    return this.periodVerdict
  }

  pmu_disable(): void {
    this.#called('pmu_disable')
  }

  pmu_enable(): void {
    this.#called('pmu_enable')
  }

  start_txn(flags: number): void {
    this.#called(`start_txn(${flags})`)
  }

  commit_txn(): Failure | undefined {
    this.#called('commit_txn')
    return undefined
  }

  cancel_txn(): void {
    this.#called('cancel_txn')
  }

  #fold(event: PerfEvent): void {
    const now = this.raw(event.attr.config)
    event.count = BigInt.asUintN(64, event.count + now - event.hw.prev_count)
    event.hw.prev_count = now
  }

  #called(callback: string): void {
    this.log.push(callback)
    if (this.throwsIn === callback) throw new Error(`fake ${callback}`)
  }
}
