/**
 * The PMU `kvm_vm`: perf events on whole VMs. Counterpart: the kernel's uncore PMUs, which count what belongs to no
 * CPU and no thread, and show one CPU in `cpumask` so that `perf stat -a` counts it once; and the revision of the
 * patch whose config1 held the process id.
 *
 * A VM is named by the process of its VMM: by the term `vm` for an event on that CPU, or by its main thread for an
 * event on a thread. The process's other threads count 0, so that `perf stat -p` counts once too. What one event
 * does is in host-event.ts, as for the host PMU.
 */
import { Failure, orThrow } from '../abi/errno.js'
import type { PerfEvent } from '../perf/event.js'
import { cpumaskAttribute } from '../perf/one-cpu.js'
import type { AttributeGroup, Refresher, RefreshTarget } from '../perf/pmu.js'
import type { PmuRegistry } from '../perf/registry.js'
import type { Arming } from './arming.js'
import { format_attr_bucket, format_attr_event, format_attr_reason, format_attr_vm } from './attributes.js'
import { EventNames } from './event-names.js'
import * as host from './host-event.js'
import { vcpusPending } from './host-event-init.js'
import { ProcessSum } from './process-sum.js'
import { servingSource } from './serving-source.js'
import { StatisticPmu } from './statistic-pmu.js'
import type { Vcpu, Vm } from './vm.js'
import { countedProcess, notCountedThere, noVm } from './vm-event-init.js'
import type { VmChange, VmList } from './vm-list.js'
import { VmPmuEvents } from './vm-pmu-events.js'
import { VmRefresh } from './vm-refresh.js'
import { isSummed, VcpuSum, VmStatistic, type WholeVm } from './whole-vm.js'

/** Whom the PMU counts, and what it asks of the machine. */
export interface VmPmuOptions {
  readonly vms: VmList
  /** What its events are called. */
  readonly names?: EventNames
  readonly arming: Arming
  /** The CPU that `cpumask` shows. */
  readonly cpu: () => number
  /** The time now as Vcpu.startTime has it. */
  readonly startTimeNow: () => bigint
  /** Looks for VMs anew, when a process is to be counted that is not known to run one. */
  readonly scanRefresher?: Refresher
  /** Makes events those of a task that exited: their VM is gone, their last count folded in. */
  readonly exitEvents?: (events: readonly PerfEvent[]) => void
}

export class VmPmu extends StatisticPmu {
  override readonly name = 'kvm_vm'
  readonly #options: VmPmuOptions
  readonly #refresh: VmRefresh
  readonly #events: VmPmuEvents
  readonly #live = new Map<PerfEvent, ProcessSum>()
  readonly #end = (event: PerfEvent): void => {
    host.host_event_end(event)
    this.#live.delete(event)
  }
  /** Numbers of vCPUs that went: one that comes back goes on from where it was. */
  readonly #departed = new WeakMap<Vm, Set<number>>()
  readonly #stopListening: () => void

  /**
   * Registers the PMU for the VMs of a list, those that will be added to it included.
   *
   * @throws {ErrnoError} EEXIST when there is a PMU "kvm_vm" already
   */
  constructor(registry: PmuRegistry, options: VmPmuOptions) {
    const { names = new EventNames() } = options
    super(registry, names)
    this.#options = options
    this.#events = new VmPmuEvents(names)
    this.#refresh = new VmRefresh(options.vms, options.scanRefresher)
    for (const vm of options.vms) this.#events.add(vm)
    orThrow(registry.register(this))
    this.#stopListening = options.vms.onChange(change => this.#follow(change))
  }

  override get attr_groups(): readonly AttributeGroup[] {
    return [
      { name: 'events', attrs: this.#events.attrs },
      { name: 'format', attrs: [format_attr_event, format_attr_vm, format_attr_reason, format_attr_bucket] },
      { attrs: [cpumaskAttribute(this.#options.cpu)] },
    ]
  }

  protected override init(event: PerfEvent): Failure | undefined {
    const { attr } = event
    const process = countedProcess(event, this.#options.cpu())
    if (process instanceof Failure) return process
    const statistic = this.#events.statisticOf(attr)
    if (statistic instanceof Failure) return statistic
    const vms = this.#options.vms.ofProcess(process.tgid)
    if (vms.length === 0) return noVm(process.tgid)
    const counted = vms.map(vm => this.#whole(vm, statistic))
    if (!counted.every(each => each !== undefined)) {
      const pending = vms.flatMap(vm => vm.pending ?? [])
      return pending.length > 0
        ? vcpusPending(process.tgid, pending)
        : notCountedThere(statistic, process.tgid)
    }
    const what = `Event "${statistic}" of process ${process.tgid}`
    const sum = process.isCounting ? new ProcessSum(what, counted) : undefined
    const refusal = this.take(event, sum, this.#end)
    if (sum && !refusal) this.#live.set(event, sum)
    return refusal
  }

  override refresher(target: RefreshTarget): Refresher | undefined {
    const statistic = this.#events.statisticOf(target.attr)
    return this.#refresh.next(target, statistic instanceof Failure ? undefined : statistic)
  }

  /** Takes the PMU away and follows the list no more; open events keep their last counts. */
  unregister(): void {
    this.#stopListening()
    this.registry.unregister(this)
  }

  /** A statistic of one VM, or undefined where it has none of this name. */
  #whole(vm: Vm, statistic: string): WholeVm | undefined {
    const { arming } = this.#options
    // A sum that leaves a vCPU out is none.
    if (isSummed(vm, statistic) && vm.vcpus.every(vcpu => servingSource(vcpu, statistic)))
      return new VcpuSum(vm, { event: statistic, arming, isFresh: this.#freshness(vm) })
    const isKept = vm.whole?.events.some(({ name }) => name === statistic)
    return isKept ? new VmStatistic(vm, statistic) : undefined
  }

  /** Tells a vCPU that was plugged in from now on from one that was only found late. */
  #freshness(vm: Vm): (vcpu: Vcpu) => boolean {
    const now = this.#options.startTimeNow()
    return vcpu => vcpu.startTime >= now && !this.#departed.get(vm)?.has(vcpu.id)
  }

  #follow(change: VmChange): void {
    const { kind, vm, gone } = change
    for (const sum of this.#live.values()) sum.follow(change)
    if (kind === 'removed') this.#endThoseWithoutVm()
    else this.#events.add(vm)
    const departed = this.#departed.get(vm) ?? new Set()
    this.#departed.set(vm, departed)
    for (const { id } of gone) departed.add(id)
  }

  #endThoseWithoutVm(): void {
    const over = [...this.#live].filter(([, sum]) => sum.isOver).map(([event]) => event)
    for (const event of over) this.#end(event)
    if (over.length > 0) this.#options.exitEvents?.(over)
  }
}
