/**
 * A program's PMU as the perf core may call it. The core survives a callback that throws; here it is told to whoever
 * runs the program, and what a callback gives is looked at before the core takes it for granted.
 *
 * The type is checked here, as each of the kernel's drivers does first in its event_init(): the core asks every PMU
 * about an event whose type belongs to none. Callbacks that wait for a refresh are not passed on: a program's module
 * has nothing in this thread that could answer them.
 */
import { ErrnoError, Failure } from '../abi/errno.js'
import type { PerfEvent } from '../perf/event.js'
import type { Pmu as CorePmu } from '../perf/pmu.js'
import type { Report } from '../sources/own/guarded-counts.js'

/** A PMU of a program's own: the kernel's callbacks, which must not block, and the groups of its attribute files. */
export type Pmu = Omit<CorePmu, 'refresher' | 'eventRefresher'>

const required = ['event_init', 'add', 'del', 'start', 'stop', 'read'] as const
const optional = [
  'pmu_enable',
  'pmu_disable',
  'start_txn',
  'commit_txn',
  'cancel_txn',
  'check_period',
] as const

function checkShape(pmu: Pmu): void {
  const of = (name: keyof Pmu): unknown => (pmu as Partial<Pmu> | undefined)?.[name]
  if (typeof of('name') !== 'string') throw new TypeError('A PMU has a name: a string is wanted')
  if (!Array.isArray(of('attr_groups')))
    throw new TypeError(`PMU "${pmu.name}" has no attr_groups: a list is wanted`)
  const missing = required.find(name => typeof of(name) !== 'function')
  if (missing) throw new TypeError(`PMU "${pmu.name}" has no ${missing}(): a function is wanted`)
  const odd = optional.find(name => !['function', 'undefined'].includes(typeof of(name)))
  if (odd) throw new TypeError(`PMU "${pmu.name}" has a ${odd} that is no function`)
}

/** One PMU of a program. */
export class OwnPmu implements CorePmu {
  readonly name: string
  readonly task_ctx_nr: CorePmu['task_ctx_nr']
  readonly capabilities: number
  readonly #pmu: Pmu
  readonly #report: Report
  readonly #typeOf: (pmu: CorePmu) => number | undefined

  /**
   * @param typeOf the type that a PMU is registered as
   * @throws {TypeError} when it lacks what every PMU has
   */
  constructor(pmu: Pmu, typeOf: (pmu: CorePmu) => number | undefined, report: Report) {
    checkShape(pmu)
    this.name = pmu.name
    this.task_ctx_nr = pmu.task_ctx_nr
    this.capabilities = pmu.capabilities
    this.#pmu = pmu
    this.#typeOf = typeOf
    this.#report = report
  }

  get attr_groups(): CorePmu['attr_groups'] {
    return this.#pmu.attr_groups
  }

  event_init(event: PerfEvent): Failure | undefined {
    const { type } = event.attr
    if (type !== this.#typeOf(this))
      return new Failure('ENOENT', `type ${type} is not that of the PMU "${this.name}"`)
    const verdict = this.#verdict('event_init', () => this.#pmu.event_init(event))
    const { destroy } = event
    if (destroy) event.destroy = ended => this.#call('destroy', () => destroy(ended))
    return verdict
  }

  add(event: PerfEvent, flags: number): Failure | undefined {
    return this.#verdict('add', () => this.#pmu.add(event, flags))
  }

  del(event: PerfEvent, flags: number): void {
    this.#call('del', () => this.#pmu.del(event, flags))
  }

  start(event: PerfEvent, flags: number): void {
    this.#call('start', () => this.#pmu.start(event, flags))
  }

  stop(event: PerfEvent, flags: number): void {
    this.#call('stop', () => this.#pmu.stop(event, flags))
  }

  read(event: PerfEvent): void {
    this.#call('read', () => {
      this.#pmu.read(event)
      if (typeof event.count !== 'bigint')
        throw new TypeError(`the event's count is ${String(event.count)}: a bigint is wanted`)
    })
  }

  pmu_enable(): void {
    this.#call('pmu_enable', () => this.#pmu.pmu_enable?.())
  }

  pmu_disable(): void {
    this.#call('pmu_disable', () => this.#pmu.pmu_disable?.())
  }

  start_txn(flags: number): void {
    this.#call('start_txn', () => this.#pmu.start_txn?.(flags))
  }

  commit_txn(): Failure | undefined {
    return this.#verdict('commit_txn', () => this.#pmu.commit_txn?.())
  }

  cancel_txn(): void {
    this.#call('cancel_txn', () => this.#pmu.cancel_txn?.())
  }

  check_period(event: PerfEvent, value: bigint): Failure | undefined {
    return this.#verdict('check_period', () => this.#pmu.check_period?.(event, value))
  }

  /** Tells what was thrown, and leaves what it means to the core. */
  #call<T>(callback: string, call: () => T): T {
    try {
      return call()
    } catch (error) {
      // A PMU's read has no other way to say that a count cannot be read: who reads is told, and nothing is broken.
      const isAnswer = callback === 'read' && error instanceof ErrnoError && error.code === 'EIO'
      if (!isAnswer) this.#report(`PMU "${this.name}": ${callback}`, error)
      throw error
    }
  }

  /** A kernel driver gives -ENODEV here; such a number would pass for a success of an unknown kind. */
  #verdict(callback: string, call: () => Failure | undefined): Failure | undefined {
    return this.#call(callback, () => {
      const verdict: unknown = call()
      if (verdict === undefined || verdict instanceof Failure) return verdict
      throw new TypeError(`${callback}() gave ${JSON.stringify(verdict)}: a Failure or undefined is wanted`)
    })
  }
}
