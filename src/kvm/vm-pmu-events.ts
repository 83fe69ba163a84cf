/** The events of the PMU `kvm_vm`: what its VMs' sources have brought so far, for vCPUs and for VMs alike. */
import { Failure } from '../abi/errno.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import type { Attribute } from '../perf/pmu.js'
import { counterAttributes, histogramAttribute } from './attributes.js'
import type { EventNames } from './event-names.js'
import { noEffect, type Selectable, selectEvent, withEvent } from './event-selection.js'
import { EventTable } from './event-table.js'
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
  readonly #eventNames: EventNames
  readonly #events: Selectable<Described>[] = []
  readonly #names = new Set<string>()
  #attrs: readonly Attribute[] = []

  constructor(eventNames: EventNames) {
    this.#eventNames = eventNames
  }

  /** The files of events/. */
  get attrs(): readonly Attribute[] {
    return this.#attrs
  }

  /** The statistic that an attr selects, or EINVAL. */
  statisticOf(attr: perf_event_attr): string | Failure {
    const selected = selectEvent(this.#events, attr)
    if (selected instanceof Failure) return selected
    const { event, text } = selected
    const bucket = to_bucket(attr.config2)
    if (!isHistogram(event)) return bucket === 0 ? event.name : noEffect('bucket', bucket, text)
    if (bucket < event.buckets) return `${event.name}[${bucket}]`
    const last = event.buckets - 1
    return new Failure('EINVAL', `bucket is ${bucket}: event ${text}, "${event.name}", has 0 to ${last}`)
  }

  /** Takes in what a VM's sources count; the first description of a name stays, also when its VM goes. */
  add({ source, whole }: Vm): void {
    const all: readonly Described[] = [
      ...source.events,
      ...(whole?.events ?? []),
      ...(source.histograms ?? []),
    ].filter(each => !isHistogram(each) || each.buckets <= MAX_BUCKETS)
    const fresh = all.filter(({ name }) => !this.#names.has(name))
    this.#table.append(fresh.map(ownerOfId))
    for (const event of fresh) this.#take(event)
  }

  #take(event: Described): void {
    if (this.#names.has(event.name)) return
    this.#names.add(event.name)
    const id = this.#table.id(ownerOfId(event))
    if (id === undefined) return
    const reason = isHistogram(event) ? undefined : event.reason?.value
    this.#events[id] = withEvent(this.#events[id], event, reason)
    const name = this.#eventNames.claim(event.name)
    const attrs = isHistogram(event)
      ? [histogramAttribute(id, { ...event, name })]
      : counterAttributes(id, { ...event, name })
    this.#attrs = [...this.#attrs, ...attrs]
  }
}

/** The name whose id an event has: that of another where it is one reason of several. */
const ownerOfId = (event: Described): string =>
  isHistogram(event) ? event.name : (event.reason?.of ?? event.name)
