/**
 * Several sources of one VM as one: each event of each vCPU is counted by the first that can.
 *
 * Two sources of the same statistic count from different origins, so that one must not take over from the other
 * between two reads: an event of a vCPU stays with the source that it was first armed by.
 */
import type { Failure } from '../abi/errno.js'
import type { CountSource, CpuCount, EventDescription, HistogramDescription, Vcpu } from '../kvm/vm.js'
import type { Refresher } from '../perf/pmu.js'
import { eventsOf, refresherOf } from './parts.js'

const canCount = (source: CountSource, vcpu: Vcpu, event: string): boolean =>
  source.canCount?.(vcpu, event) ?? source.events.some(({ name }) => name === event)

export class ComposedSource implements CountSource {
  readonly parts: readonly CountSource[]
  readonly #chosen = new WeakMap<Vcpu, Map<string, CountSource>>()

  /** @param parts the best first */
  constructor(parts: readonly CountSource[]) {
    this.parts = parts
  }

  /** Those that count anything, the best first: `stats,tracepoint`. */
  get name(): string {
    const useful = this.parts.filter(({ events }) => events.length > 0)
    return (useful.length > 0 ? useful : this.parts).map(({ name }) => name).join(',')
  }

  get events(): readonly EventDescription[] {
    return eventsOf(this.parts)
  }

  get histograms(): readonly HistogramDescription[] {
    return this.parts.flatMap(({ histograms }) => histograms ?? [])
  }

  /** For those who want every count fresh: what one event needs, its own part says. */
  get refresher(): Refresher | undefined {
    return refresherOf(this.parts)
  }

  canCount(vcpu: Vcpu, event: string): boolean {
    return this.partFor(vcpu, event) !== undefined
  }

  partFor(vcpu: Vcpu, event: string): CountSource | undefined {
    return this.#chosen.get(vcpu)?.get(event) ?? this.parts.find(part => canCount(part, vcpu, event))
  }

  get_event_count(vcpu: Vcpu, event: string): bigint | undefined {
    return this.partFor(vcpu, event)?.get_event_count(vcpu, event)
  }

  onCpu(vcpu: Vcpu, event: string, cpu: number): CpuCount | undefined {
    return this.partFor(vcpu, event)?.onCpu?.(vcpu, event, cpu)
  }

  configure_event(vcpu: Vcpu, event: string, enable: boolean): Failure | undefined {
    const part = this.partFor(vcpu, event)
    const failure = part?.configure_event(vcpu, event, enable)
    if (part && enable && !failure) this.#keep(vcpu, event, part)
    return failure
  }

  close(): void {
    for (const part of this.parts) part.close()
  }

  #keep(vcpu: Vcpu, event: string, part: CountSource): void {
    const ofVcpu = this.#chosen.get(vcpu) ?? new Map<string, CountSource>()
    this.#chosen.set(vcpu, ofVcpu.set(event, part))
  }
}
