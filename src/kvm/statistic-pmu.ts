/**
 * What the PMUs `kvm` and `kvm_vm` have in common: whatever an event counts, a statistic of one vCPU or of a whole VM, it
 * is armed, stopped and folded in alike, as host-event.ts does.
 */
import { Failure, orThrow } from '../abi/errno.js'
import { PERF_HES_STOPPED, PERF_HES_UPTODATE, PERF_PMU_CAP_NO_INTERRUPT } from '../abi/perf-event.js'
import { log } from '../log.js'
import type { PerfEvent } from '../perf/event.js'
import type { AttributeGroup, Pmu, Refresher, RefreshTarget, TimesOnCpu } from '../perf/pmu.js'
import type { PmuRegistry } from '../perf/registry.js'
import { type Counted, unreadable } from './counted.js'
import { EventNames } from './event-names.js'
import * as host from './host-event.js'
import { attributeRefusal } from './host-event-init.js'

export abstract class StatisticPmu implements Pmu {
  abstract readonly name: string
  readonly task_ctx_nr = 'perf_sw_context'
  readonly capabilities = PERF_PMU_CAP_NO_INTERRUPT
  protected readonly registry: PmuRegistry
  readonly #names: EventNames

  constructor(registry: PmuRegistry, names: EventNames = new EventNames()) {
    this.registry = registry
    this.#names = names
  }

  abstract get attr_groups(): readonly AttributeGroup[]

  eventFile(name: string): string {
    return this.#names.fileFor(name)
  }

  abstract refresher(target: RefreshTarget): Refresher | undefined

  /** Whom an event of this PMU counts, and what: refused, or taken by {@link take}. */
  protected abstract init(event: PerfEvent): Failure | undefined

  event_init(event: PerfEvent): Failure | undefined {
    const { attr } = event
    if (attr.type !== this.registry.typeOf(this))
      return new Failure('ENOENT', `type ${attr.type} is not that of the PMU "${this.name}"`)
    return attributeRefusal(attr) ?? this.init(event)
  }

  add(event: PerfEvent, flags: number): Failure | undefined {
    const failure = host.host_event_add(event, flags)
    // "No room" is an event's to wait for; what else keeps a source from counting is to be told to who reads.
    return failure && failure.code !== 'ENOSPC' ? new Failure('EIO', failure.message) : failure
  }

  del(event: PerfEvent, _flags: number): void {
    host.host_event_del(event)
  }

  /** Not called by the core, for want of sampling events: add() starts, and has its failure told to who reads. */
  start(event: PerfEvent, _flags: number): void {
    const failure = host.host_event_start(event)
    if (failure) log.kvm('event %s stays stopped: %s', event.id, failure.message)
  }

  stop(event: PerfEvent, flags: number): void {
    host.host_event_stop(event, flags)
  }

  read(event: PerfEvent): void {
    orThrow(host.host_event_update(event))
  }

  eventRefresher(event: PerfEvent): Refresher | undefined {
    return host.to_event_data(event).counted?.refresher
  }

  timesOnCpu(event: PerfEvent): TimesOnCpu | undefined {
    const { counted, stopped_times } = host.to_event_data(event)
    return counted ? counted.timesOnCpu?.() : stopped_times
  }

  /**
   * Has an event count this, or 0 where it is undefined; `destroy` ends it. EIO where it cannot be read: that is seen
   * here, unless the count is to be fetched first, as it is not for an event that is opened disabled.
   */
  protected take(
    event: PerfEvent,
    counted: Counted | undefined,
    destroy: (event: PerfEvent) => void,
  ): Failure | undefined {
    const isAtHand = counted && !(event.attr.disabled && counted.refresher)
    if (isAtHand && counted.get_event_count() === undefined) return unreadable(counted)
    event.pmu_private = new host.event_data(counted)
    event.hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE
    event.destroy = destroy
    return undefined
  }
}
