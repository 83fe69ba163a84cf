/** The events of the PMU `kvm_vm`: what its VMs' sources have brought so far, for vCPUs and for VMs alike. */
import { Failure } from '../abi/errno.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import type { Attribute } from '../perf/pmu.js'
import { eventAttributes, eventIdText, histogramAttribute } from './attributes.js'
import { EventTable } from './event-table.js'
import { noSuchEvent, to_event } from './host-event-init.js'
import type { EventDescription, HistogramDescription, Vm } from './vm.js'

type Described = EventDescription | HistogramDescription

const isHistogram = (described: Described): described is HistogramDescription => 'buckets' in described

const BUCKET_MASK = 0xffn

/** What the term has room for. */
const MAX_BUCKETS = 256

/** The bucket that the term selects. */
const to_bucket = (config2: bigint): number => Number(config2 & BUCKET_MASK)

export class VmPmuEvents {
  readonly #table = new EventTable()
  readonly #events: Described[] = []
  #attrs: readonly Attribute[] = []

  /** The files of events/. */
  get attrs(): readonly Attribute[] {
    return this.#attrs
  }

  /** The statistic that an attr selects, or EINVAL. */
  statisticOf({ config, config2 }: perf_event_attr): string | Failure {
    const id = to_event(config)
    const event = this.#events[id]
    if (!event) return noSuchEvent(id)
    if (!isHistogram(event)) return event.name
    const bucket = to_bucket(config2)
    if (bucket < event.buckets) return `${event.name}[${bucket}]`
    const last = event.buckets - 1
    return new Failure(
      'EINVAL',
      `bucket is ${bucket}: event ${eventIdText(id)}, "${event.name}", has 0 to ${last}`,
    )
  }

  /** Takes in what a VM's sources count; the first description of a name stays, also when its VM goes. */
  add({ source, whole }: Vm): void {
    const all: readonly Described[] = [
      ...source.events,
      ...(whole?.events ?? []),
      ...(source.histograms ?? []),
    ].filter(each => !isHistogram(each) || each.buckets <= MAX_BUCKETS)
    this.#table.append(all.map(({ name }) => name))
    for (const event of all) {
      const id = this.#table.id(event.name)
      if (id === undefined || this.#events[id]) continue
      this.#events[id] = event
      const attrs = isHistogram(event) ? [histogramAttribute(id, event)] : eventAttributes(id, event)
      this.#attrs = [...this.#attrs, ...attrs]
    }
  }
}
