/**
 * Which PMUs there are. Counterpart: perf_pmu_register() and perf_pmu_unregister() in kernel/events/core.c.
 *
 * Types are numbers that tools put into perf_event_attr: dynamic ones start so high that they never meet one of the
 * running kernel. The lowest free one is taken, a freed one is used again. A PMU is visible only while it is fully
 * registered: it is hidden before its events are revoked.
 */
import { Failure } from '../abi/errno.js'
import { log } from '../log.js'
import { DEFAULT_MUX_INTERVAL_MS } from './mux-interval.js'
import { pmuNameRefusal } from './names.js'
import type { Pmu } from './pmu.js'

/** A registered PMU and what the core keeps about it. */
export interface RegisteredPmu {
  readonly pmu: Pmu
  /** What perf_event_attr::type selects it. */
  readonly type: number
  /** The attribute of that name; parse what is written with parseMuxInterval(). */
  perf_event_mux_interval_ms: number
}

/** A PMU came or went. */
export interface RegistryChange {
  readonly kind: 'registered' | 'unregistered'
  readonly registration: RegisteredPmu
}

/** The first dynamic type where the caller does not say otherwise. */
export const FIRST_DYNAMIC_TYPE = 4096

const MAX_TYPE = 0x7fff_ffff

export class PmuRegistry {
  readonly #byType = new Map<number, RegisteredPmu>()
  readonly #byName = new Map<string, RegisteredPmu>()
  readonly #listeners = new Set<(change: RegistryChange) => void>()
  readonly #revokers = new Set<(pmu: Pmu) => void>()
  readonly #firstType: number
  readonly #isTaken: (name: string) => boolean

  /** @param isTaken whether the running kernel has a PMU of this name, now */
  constructor(firstDynamicType = FIRST_DYNAMIC_TYPE, isTaken: (name: string) => boolean = () => false) {
    this.#firstType = firstDynamicType
    this.#isTaken = isTaken
  }

  /**
   * Adds a PMU.
   *
   * @param type its type, or -1 for the lowest free dynamic one
   * @returns EINVAL for a name that perf cannot parse, EEXIST for a name or a type that is taken
   */
  register(pmu: Pmu, type = -1): RegisteredPmu | Failure {
    const refusal = this.#refusal(pmu, type)
    if (refusal) return refusal
    const registration = {
      pmu,
      type: type < 0 ? this.#lowestFreeType() : type,
      perf_event_mux_interval_ms: DEFAULT_MUX_INTERVAL_MS,
    }
    this.#byType.set(registration.type, registration)
    this.#byName.set(pmu.name, registration)
    log.perf('registered pmu %s as type %d', pmu.name, registration.type)
    this.#tell({ kind: 'registered', registration })
    return registration
  }

  /** Takes a PMU away: hides it, revokes its live events, frees its type. ENOENT where it is not registered. */
  unregister(pmu: Pmu): Failure | undefined {
    const registration = this.#byName.get(pmu.name)
    if (registration?.pmu !== pmu) return new Failure('ENOENT', `PMU "${pmu.name}" is not registered`)
    this.#byName.delete(pmu.name)
    this.#byType.delete(registration.type)
    for (const revoke of this.#revokers) revoke(pmu)
    log.perf('unregistered pmu %s', pmu.name)
    this.#tell({ kind: 'unregistered', registration })
    return undefined
  }

  byName(name: string): RegisteredPmu | undefined {
    return this.#byName.get(name)
  }

  byType(type: number): RegisteredPmu | undefined {
    return this.#byType.get(type)
  }

  /** The type of a PMU, undefined while it is not registered: what event_init compares `attr.type` with. */
  typeOf(pmu: Pmu): number | undefined {
    const registration = this.#byName.get(pmu.name)
    return registration?.pmu === pmu ? registration.type : undefined
  }

  /** All of them, in the order of registration. */
  list(): readonly RegisteredPmu[] {
    return [...this.#byName.values()]
  }

  /** Calls `listener` after each change, until the returned function is called. */
  onChange(listener: (change: RegistryChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Calls `revoke` when a PMU is hidden already and its events must go: the perf core's part of unregister. */
  onRevoke(revoke: (pmu: Pmu) => void): void {
    this.#revokers.add(revoke)
  }

  #refusal(pmu: Pmu, type: number): Failure | undefined {
    const why = pmuNameRefusal(pmu.name)
    if (why !== undefined) return new Failure('EINVAL', `PMU name "${pmu.name}" is unfit: ${why}`)
    if (!Number.isInteger(type) || type < -1 || type > MAX_TYPE)
      return new Failure('EINVAL', `PMU type ${type} is out of range (-1 for any, else 0 to ${MAX_TYPE})`)
    if (this.#isTaken(pmu.name))
      return new Failure('EEXIST', `the kernel has a PMU named "${pmu.name}": choose another name`)
    if (this.#byName.has(pmu.name))
      return new Failure('EEXIST', `a PMU named "${pmu.name}" is registered already`)
    const holder = this.#byType.get(type)
    return holder && new Failure('EEXIST', `type ${type} belongs to PMU "${holder.pmu.name}" already`)
  }

  #lowestFreeType(): number {
    let type = this.#firstType
    while (this.#byType.has(type)) type++
    return type
  }

  #tell(change: RegistryChange): void {
    for (const listener of this.#listeners) listener(change)
  }
}
