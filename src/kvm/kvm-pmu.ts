/**
 * Keeps the host PMU in step with the list of VMs: a VM brings the events that its source can count, and takes the
 * events that were open on it with it when it goes.
 */
import { orThrow } from '../abi/errno.js'
import type { Attribute } from '../perf/pmu.js'
import type { PmuRegistry } from '../perf/registry.js'
import { Arming } from './arming.js'
import { counterAttributes } from './attributes.js'
import { EventNames } from './event-names.js'
import { type Selectable, withEvent } from './event-selection.js'
import { EventTable } from './event-table.js'
import { type HostPmu, type HostPmuEvents, type HostPmuOptions, kvm_host_pmu_register } from './host-pmu.js'
import { servingSource } from './serving-source.js'
import type { kvm_event_cb } from './vcpu-event.js'
import type { EventDescription } from './vm.js'
import type { VmChange, VmList } from './vm-list.js'

/** How the PMU behaves, and what it is to call: see {@link HostPmuOptions}. */
export type KvmPmuOptions = Pick<
  HostPmuOptions,
  'names' | 'sharing' | 'strict' | 'scanRefresher' | 'exitEvents'
> & {
  /** Shared with whoever else has statistics of these vCPUs kept. */
  readonly arming?: Arming
}

/** The callbacks of one name: each vCPU is asked of its own VM's source. */
const callbacks = (name: string, arming: Arming): kvm_event_cb => ({
  name,
  get_event_count: vcpu => vcpu.vm.source.get_event_count(vcpu, name),
  configure_event: (vcpu, enable) => arming.configure_event(vcpu, name, enable),
  has_event: vcpu => servingSource(vcpu, name) !== undefined,
  onCpu: (vcpu, cpu) => servingSource(vcpu, name)?.onCpu?.(vcpu, name, cpu),
  refresher: vcpu => servingSource(vcpu, name)?.refresher,
})

/** The events that sources have brought so far. They stay when the VM goes: another may have them too. */
class KnownEvents {
  readonly #table = new EventTable()
  readonly #arming: Arming
  readonly #eventNames: EventNames
  readonly #cbs: Selectable<kvm_event_cb>[] = []
  readonly #attrs: Attribute[][] = []
  readonly #names = new Set<string>()

  constructor(arming: Arming, eventNames: EventNames) {
    this.#arming = arming
    this.#eventNames = eventNames
  }

  /** Takes in what a source describes; the first description of a name stays. Returns whether there was a new one. */
  add(events: readonly EventDescription[]): boolean {
    const fresh = events.filter(({ name }) => !this.#names.has(name))
    this.#table.append(fresh.map(({ name, reason }) => reason?.of ?? name))
    for (const event of fresh) this.#take(event)
    return fresh.length > 0
  }

  /** All of them; ids of the table that no source has brought are holes. */
  snapshot(): HostPmuEvents {
    return { nr_events: this.#cbs.length, cbs: Array.from(this.#cbs), event_attrs: this.#attrs.flat() }
  }

  #take(event: EventDescription): void {
    const { name, reason } = event
    this.#names.add(name)
    const id = this.#table.id(reason?.of ?? name)
    if (id === undefined) return
    this.#cbs[id] = withEvent(this.#cbs[id], callbacks(name, this.#arming), reason?.value)
    const attrs = counterAttributes(id, { ...event, name: this.#eventNames.claim(name) })
    this.#attrs[id] = [...(this.#attrs[id] ?? []), ...attrs]
  }
}

export class KvmPmu {
  readonly hostPmu: HostPmu
  readonly #events: KnownEvents
  readonly #stopListening: () => void

  /**
   * Registers the host PMU for the VMs of a list, those that will be added to it included.
   *
   * @throws {ErrnoError} EEXIST when there is a PMU "kvm" already
   */
  constructor(registry: PmuRegistry, vms: VmList, options: KvmPmuOptions = {}) {
    const { arming = new Arming(), names = new EventNames() } = options
    this.#events = new KnownEvents(arming, names)
    for (const vm of vms) this.#events.add(vm.source.events)
    this.hostPmu = orThrow(kvm_host_pmu_register(registry, { ...options, ...this.#events.snapshot(), vms }))
    this.#stopListening = vms.onChange(change => this.#follow(change))
  }

  /** Takes the PMU away and follows the list no more. */
  unregister(): void {
    this.#stopListening()
    this.hostPmu.kvm_host_pmu_unregister()
  }

  #follow({ kind, vm, gone }: VmChange): void {
    this.hostPmu.vcpusGone(gone)
    if (kind !== 'removed' && this.#events.add(vm.source.events))
      this.hostPmu.kvm_host_pmu_grow(this.#events.snapshot())
  }
}
