/**
 * Counts of a QEMU guest in the thread that serves: those of the last snapshot that the main thread sent. A read
 * that must be true asks for a snapshot first, through the refresher.
 */
import type { CountSource, Disturbance, EventDescription, Vcpu, WholeSource } from '../../kvm/vm.js'
import { type CountScope, type VmCounts, WHOLE_VM } from '../messages.js'
import type { Tickets } from '../tickets.js'
import { DisturbanceMeter } from './disturbance.js'
import { Fetches } from './fetches.js'

/** Whose counts to fetch. */
export interface QmpSourceOptions {
  /** The VM's key. */
  readonly key: string
  readonly events: readonly EventDescription[]
  readonly tickets: Tickets
}

class Snapshots {
  readonly name = 'qmp'
  readonly events: readonly EventDescription[]
  readonly refresher: Fetches
  readonly #columns: ReadonlyMap<string, number>
  #counts: VmCounts = new Map()

  constructor({ key, events, tickets }: QmpSourceOptions, scope: CountScope) {
    this.events = events
    this.refresher = new Fetches(key, scope, tickets)
    this.#columns = new Map(events.map(({ name }, column) => [name, column]))
  }

  /** Takes a snapshot in. */
  update(counts: VmCounts): void {
    this.#counts = counts
  }

  /** The VM is gone: whoever waits goes on with the last counts. */
  close(): void {
    this.refresher.close()
  }

  /** Whether a snapshot has it; as long as none was fetched, whether one is to have it. */
  protected has(id: number, event: string): boolean {
    return this.#counts.size === 0 ? this.#columns.has(event) : this.countOf(id, event) !== undefined
  }

  protected countOf(id: number, event: string): bigint | undefined {
    const column = this.#columns.get(event)
    return column === undefined ? undefined : this.#counts.get(id)?.[column]
  }
}

/** The counts of a guest's vCPUs. */
export class QmpSource extends Snapshots implements CountSource {
  readonly #meter: DisturbanceMeter

  constructor(options: QmpSourceOptions) {
    super(options, 'vcpu')
    this.#meter = new DisturbanceMeter(options.events)
  }

  get disturbance(): Disturbance | undefined {
    return this.#meter.disturbance
  }

  override update(counts: VmCounts): void {
    super.update(counts)
    this.#meter.take(counts)
  }

  canCount(vcpu: Vcpu, event: string): boolean {
    return this.has(vcpu.id, event)
  }

  get_event_count(vcpu: Vcpu, event: string): bigint | undefined {
    return this.countOf(vcpu.id, event)
  }

  /** KVM keeps its statistics always. */
  configure_event(): undefined {}
}

/** The counts of a guest as a whole. */
export class QmpWhole extends Snapshots implements WholeSource {
  constructor(options: QmpSourceOptions) {
    super(options, 'vm')
  }

  get_event_count(event: string): bigint | undefined {
    return this.countOf(WHOLE_VM, event)
  }
}
