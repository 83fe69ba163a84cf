/** A source whose statistics are set by hand and whose arming is recorded, for tests. */
import { Failure } from '../../abi/errno.js'
import { wrap64 } from '../../abi/struct.js'
import type { CountSource, EventDescription, Vcpu } from '../../kvm/vm.js'
import type { Refresher } from '../../perf/pmu.js'

/** One call of configure_event(). */
export interface Configured {
  readonly vcpu: number
  readonly event: string
  readonly enable: boolean
}

/** How a fake source differs from one that always counts and is always readable. */
export interface FakeSourceOptions {
  readonly events?: readonly (string | EventDescription)[]
  readonly refresher?: Refresher
  /** Whether what happens while an event is not armed goes unnoticed. */
  readonly armedOnly?: boolean
}

const keyOf = (vcpu: Vcpu, event: string): string => `${vcpu.id} ${event}`

export class FakeSource implements CountSource {
  readonly name = 'fake'
  readonly refresher?: Refresher
  readonly #counts = new Map<string, bigint>()
  readonly #armed = new Set<string>()
  readonly #armedOnly: boolean
  events: readonly EventDescription[]
  readonly configured: Configured[] = []
  /** How many of those calls changed nothing: armed twice, or disarmed twice. */
  repeated = 0
  /** False: no statistic can be read. */
  isReadable = true
  /** True: nothing can be armed. */
  isFull = false
  /** Why nothing can be armed, another reason than that. */
  refusal: Failure | undefined
  isClosed = false

  constructor({ events = ['exits'], refresher, armedOnly = false }: FakeSourceOptions = {}) {
    this.#armedOnly = armedOnly
    this.events = events.map(event => (typeof event === 'string' ? { name: event } : event))
    if (refresher) this.refresher = refresher
  }

  get_event_count(vcpu: Vcpu, event: string): bigint | undefined {
    if (!this.isReadable || this.isClosed) return undefined
    return this.#counts.get(keyOf(vcpu, event)) ?? 0n
  }

  configure_event(vcpu: Vcpu, event: string, enable: boolean): Failure | undefined {
    if (enable && this.isFull) return new Failure('ENOSPC', `"${event}" has no room`)
    if (enable && this.refusal) return this.refusal
    this.configured.push({ vcpu: vcpu.id, event, enable })
    if (enable === this.isArmed(vcpu, event)) this.repeated += 1
    if (enable) this.#armed.add(keyOf(vcpu, event))
    else this.#armed.delete(keyOf(vcpu, event))
    return undefined
  }

  set(vcpu: Vcpu, event: string, count: bigint): void {
    this.#counts.set(keyOf(vcpu, event), count)
  }

  /** Lets it happen `times` more often, as a u64. */
  happen(vcpu: Vcpu, event: string, times = 1n): void {
    if (this.#armedOnly && !this.isArmed(vcpu, event)) return
    this.set(vcpu, event, wrap64((this.#counts.get(keyOf(vcpu, event)) ?? 0n) + times))
  }

  isArmed(vcpu: Vcpu, event: string): boolean {
    return this.#armed.has(keyOf(vcpu, event))
  }

  close(): void {
    this.isClosed = true
  }
}
