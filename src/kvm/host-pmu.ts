/**
 * The host PMU: perf events on vCPUs. Counterpart: virt/kvm/host_pmu.c of the patch "kvm: Add host pmu to support VM
 * introspection", function for function; what one event does is in host-event.ts, what is refused in
 * host-event-init.ts.
 *
 * The patch keeps everything in one global, which a second registration overwrites before it fails; here each
 * registration is an object, and the registry refuses the second one's name.
 */
import { Failure, orThrow } from '../abi/errno.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import type { PerfEvent } from '../perf/event.js'
import type { Attribute, AttributeGroup, Refresher, RefreshTarget } from '../perf/pmu.js'
import type { PmuRegistry } from '../perf/registry.js'
import type { Task } from '../perf/task.js'
import { format_attr_event, format_attr_reason } from './attributes.js'
import type { EventNames } from './event-names.js'
import { KEYS, keepsAll, type Selectable, type SelectedEvent, selectEvent } from './event-selection.js'
import { MAX_EVENTS } from './event-table.js'
import * as host from './host-event.js'
import * as init from './host-event-init.js'
import { HostRefresh } from './host-refresh.js'
import { StatisticPmu } from './statistic-pmu.js'
import { type kvm_event_cb, VcpuEvent } from './vcpu-event.js'
import { VcpuEventList } from './vcpu-event-list.js'
import type { Vcpu } from './vm.js'
import type { VmList } from './vm-list.js'

/** The events of the PMU: what the patch's kvm_host_pmu_register() is called with. */
export interface HostPmuEvents {
  /** Event ids are below this, and no more than 256: `config:0-7` has no more. */
  readonly nr_events: number
  /** What each id selects. */
  readonly cbs: readonly Selectable<kvm_event_cb>[]
  /** The files of events/. */
  readonly event_attrs: readonly Attribute[]
}

/** Whom a host PMU counts and how it differs from the patch's. */
export interface HostPmuOptions extends HostPmuEvents {
  readonly vms: VmList
  /** What its events are called, for requests that call them otherwise. */
  readonly names?: EventNames
  /** Whether several perf events may count one event of one vCPU; the patch refuses all but the first. */
  readonly sharing?: boolean
  /** Whether a thread of a VM's process that runs no vCPU is refused, as in the patch; else it counts 0. */
  readonly strict?: boolean
  /** Looks for VMs anew, when a thread is to be counted that is not known. */
  readonly scanRefresher?: Refresher
  /** Makes events those of a task that exited: their vCPU is gone, their last count folded in. */
  readonly exitEvents?: (events: readonly PerfEvent[]) => void
}

const checkEvents = ({ nr_events, cbs }: HostPmuEvents): Failure | undefined => {
  if (cbs.length !== nr_events)
    return new Failure('EINVAL', `cbs has ${cbs.length} entries: nr_events is ${nr_events}`)
  if (nr_events > MAX_EVENTS)
    return new Failure('EINVAL', `nr_events is ${nr_events}: config:0-7 has room for ${MAX_EVENTS}`)
  return undefined
}

export class HostPmu extends StatisticPmu {
  override readonly name = 'kvm'
  readonly #options: HostPmuOptions
  readonly #refresh: HostRefresh
  readonly #counted = new VcpuEventList()
  readonly #host_event_destroy = (event: PerfEvent): void => {
    const { counted } = host.to_event_data(event)
    host.host_event_end(event)
    if (counted instanceof VcpuEvent) this.#counted.remove(event, counted)
  }
  /** Replaced as a whole, so that ids, callbacks and files always belong together. */
  #events: HostPmuEvents

  /** Use {@link kvm_host_pmu_register}. */
  constructor(registry: PmuRegistry, options: HostPmuOptions) {
    super(registry, options.names)
    this.#options = options
    this.#refresh = new HostRefresh(options.vms, {
      scan: options.scanRefresher,
      counts: (attr, vcpu) => this.#refresherOf(attr, vcpu),
    })
    this.#events = options
  }

  override get attr_groups(): readonly AttributeGroup[] {
    return [
      { name: 'events', attrs: this.#events.event_attrs },
      { name: 'format', attrs: [format_attr_event, format_attr_reason] },
    ]
  }

  protected override init(event: PerfEvent): Failure | undefined {
    const { attr } = event
    const task = init.countedTask(event)
    if (task instanceof Failure) return task
    const selected = selectEvent(this.#events.cbs, attr)
    // The patch refuses the CPU first.
    if (selected instanceof Failure) return event.cpu < 0 ? selected : init.notFollowed(event.cpu)
    const vcpu = this.#options.vms.vcpuOf(task)
    if (vcpu)
      return event.cpu < 0 ? this.#count(event, vcpu, selected) : this.#countOnCpu(event, vcpu, selected)
    if (event.cpu >= 0) return init.notFollowed(event.cpu)
    return this.#zeroRefusal(task) ?? this.take(event, undefined, this.#host_event_destroy)
  }

  override refresher(target: RefreshTarget): Refresher | undefined {
    return this.#refresh.next(target)
  }

  /**
   * Takes more events in while the PMU is live: their ids, callbacks and files, all at once.
   *
   * @throws {ErrnoError} EINVAL when it would take an event away, or has another number of callbacks than of ids
   */
  kvm_host_pmu_grow(events: HostPmuEvents): void {
    orThrow(checkEvents(events))
    if (!keepsAll(this.#events.cbs, events.cbs))
      orThrow(new Failure('EINVAL', 'cbs lack an event that the PMU has: events are only added'))
    this.#events = events
  }

  /** Takes the PMU away; open events keep their last counts. */
  kvm_host_pmu_unregister(): void {
    this.registry.unregister(this)
  }

  /**
   * Ends the events on vCPUs that are gone. Call it while their source can still be read, before it is closed: the
   * last counts are folded in.
   */
  vcpusGone(vcpus: readonly Vcpu[]): void {
    const events = vcpus.flatMap(vcpu => this.#counted.onVcpu(vcpu))
    for (const event of events) this.#host_event_destroy(event)
    if (events.length > 0) this.#options.exitEvents?.(events)
  }

  /** What an event of this attr on this vCPU is kept up to date by. */
  #refresherOf(attr: perf_event_attr, vcpu: Vcpu): Refresher | undefined {
    const selected = selectEvent(this.#events.cbs, attr)
    return selected instanceof Failure ? undefined : selected.event.refresher?.(vcpu)
  }

  /** Why a thread that is no vCPU's counts no 0; one of a VM's process does: `perf stat -p` gives the VM's sum. */
  #zeroRefusal({ tid, tgid }: Task): Failure | undefined {
    const { strict, vms } = this.#options
    const ofProcess = vms.ofProcess(tgid)
    if (strict || ofProcess.length === 0) return init.noVcpu(tid)
    const pending = ofProcess.flatMap(vm => vm.pending ?? [])
    return pending.length > 0 ? init.vcpusPending(tgid, pending) : undefined
  }

  /** Another event than that without a CPU, and another for each CPU. */
  #countOnCpu(event: PerfEvent, vcpu: Vcpu, selected: SelectedEvent<kvm_event_cb>): Failure | undefined {
    const { key, text, event: cb } = selected
    const onCpu = cb.onCpu?.(vcpu, event.cpu)
    if (!onCpu) return init.notFollowed(event.cpu)
    const named = { name: `${cb.name ?? text} on CPU ${event.cpu}`, ...onCpu }
    return this.#count(event, vcpu, { text, key: key + (event.cpu + 1) * KEYS, event: named })
  }

  #count(event: PerfEvent, vcpu: Vcpu, selected: SelectedEvent<kvm_event_cb>): Failure | undefined {
    const { key, text, event: cb } = selected
    if (cb.has_event?.(vcpu) === false) return init.notCountedHere(text, vcpu.tid)
    if (!this.#options.sharing && this.#counted.has(key, vcpu)) return init.countedAlready(text, vcpu.tid)
    const counted = this.#counted.add(event, key, vcpu, cb)
    const refusal = this.take(event, counted, this.#host_event_destroy)
    if (refusal) this.#counted.remove(event, counted)
    return refusal
  }
}

/**
 * Registers the host PMU as "kvm".
 *
 * @returns the PMU, to grow and to unregister, or EINVAL where the events do not fit together, or the registry's
 *   refusal: EEXIST where there is a PMU "kvm" already
 */
export function kvm_host_pmu_register(registry: PmuRegistry, options: HostPmuOptions): HostPmu | Failure {
  const refusal = checkEvents(options)
  if (refusal) return refusal
  const pmu = new HostPmu(registry, options)
  const registered = registry.register(pmu)
  return registered instanceof Failure ? registered : pmu
}
