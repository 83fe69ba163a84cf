/**
 * Counts read from the KVM statistics descriptors that a VMM holds open. Counterpart: what the patch's
 * get_event_count callbacks read from struct kvm_vcpu.
 */
import type { CountSource, EventDescription, HistogramDescription, Vcpu, WholeSource } from '../../kvm/vm.js'
import type { VcpuDescription } from '../messages.js'
import { HeldStats, type StatsFiles } from './held-stats.js'

/** The counts of a VM's vCPUs. */
export class StatsSource implements CountSource {
  readonly name = 'stats'
  readonly #files: StatsFiles
  readonly #open = new Map<number, HeldStats>()
  readonly #whyNone: string | undefined
  #events: readonly EventDescription[] = []
  #histograms: readonly HistogramDescription[] = []

  /**
   * Takes the vCPUs' descriptors over, and closes them in the end.
   *
   * @param whyNone why there are none, where there are none
   */
  constructor(files: StatsFiles, vcpus: readonly VcpuDescription[], whyNone?: string) {
    this.#files = files
    this.#whyNone = whyNone
    this.update(vcpus)
  }

  get problem(): string | undefined {
    return this.#open.size === 0 ? this.#whyNone : undefined
  }

  /** What every vCPU of the VM can count: the kernel gives all of them the same. */
  get events(): readonly EventDescription[] {
    return this.#events
  }

  get histograms(): readonly HistogramDescription[] {
    return this.#histograms
  }

  /**
   * Takes over the descriptors of vCPUs that came; those of vCPUs that went can be read until update(). Of two of one
   * number the newer is read for both: KVM keeps a vCPU, and its statistics, by its number until the VM ends.
   */
  take(vcpus: readonly VcpuDescription[]): void {
    for (const { id, statsFd } of vcpus) {
      const held = this.#open.get(id)
      if (statsFd === undefined || held?.fd === statsFd) continue
      this.#open.set(id, new HeldStats(this.#files, statsFd))
      held?.close()
    }
    this.#describe()
  }

  /** Takes over the descriptors of vCPUs that came, and closes those of vCPUs that went. */
  update(vcpus: readonly VcpuDescription[]): void {
    this.take(vcpus)
    const wanted = new Map(vcpus.map(({ id, statsFd }) => [id, statsFd]))
    for (const [id, held] of this.#open) {
      if (wanted.get(id) === held.fd) continue
      this.#open.delete(id)
      held.close()
    }
    this.#describe()
  }

  canCount(vcpu: Vcpu, event: string): boolean {
    return this.get_event_count(vcpu, event) !== undefined
  }

  get_event_count(vcpu: Vcpu, event: string): bigint | undefined {
    return this.#open.get(vcpu.id)?.count(event)
  }

  /** KVM keeps its statistics always. */
  configure_event(): undefined {}

  close(): void {
    for (const held of this.#open.values()) held.close()
    this.#open.clear()
  }

  #describe(): void {
    const tables = [...this.#open.values()].flatMap(({ table }) => table ?? [])
    const isEverywhere = (name: string) => tables.every(({ positions }) => positions.has(name))
    this.#events = (tables[0]?.events ?? []).filter(({ name }) => isEverywhere(name))
    this.#histograms = (tables[0]?.histograms ?? []).filter(({ name, buckets }) =>
      isEverywhere(`${name}[${buckets - 1}]`),
    )
  }
}

/** The counts of a VM as a whole. */
export class StatsWhole implements WholeSource {
  readonly name = 'stats'
  readonly #held: HeldStats
  #isClosed = false

  /** Takes the descriptor over, and closes it in the end. */
  constructor(files: StatsFiles, fd: number) {
    this.#held = new HeldStats(files, fd)
  }

  get events(): readonly EventDescription[] {
    return this.#held.table?.events ?? []
  }

  get_event_count(event: string): bigint | undefined {
    return this.#isClosed ? undefined : this.#held.count(event)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#held.close()
  }
}
