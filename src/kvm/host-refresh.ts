/**
 * What has to be fetched before an event is opened: the thread's VM where the thread is not known, then that VM's
 * counts where its source keeps them elsewhere.
 *
 * The core asks again after each refresh. A refresher is named once for one open, so that the asking ends whatever
 * it found: a thread that a scan did not find is no vCPU.
 */
import type { Refresher, RefreshTarget } from '../perf/pmu.js'
import type { VmList } from './vm-list.js'

export class HostRefresh {
  readonly #vms: VmList
  readonly #scan: Refresher | undefined
  readonly #asked = new WeakMap<RefreshTarget, Set<Refresher>>()

  /** @param scan looks for VMs anew; without one the list is taken as it is */
  constructor(vms: VmList, scan: Refresher | undefined) {
    this.#vms = vms
    this.#scan = scan
  }

  /** The next refresh for this open, or undefined where event_init() can run. */
  next(target: RefreshTarget): Refresher | undefined {
    // pid 0 is the caller's own thread.
    const tid = target.tid === 0 ? target.caller.tid : target.tid
    if (tid <= 0) return undefined
    const vcpu = this.#vms.vcpuOnThread(tid)
    if (!vcpu) return this.#once(target, this.#scan)
    // An event that is opened disabled reads no count before it is enabled.
    return target.attr.disabled ? undefined : this.#once(target, vcpu.vm.source.refresher)
  }

  #once(target: RefreshTarget, refresher: Refresher | undefined): Refresher | undefined {
    if (!refresher) return undefined
    const asked = this.#asked.get(target) ?? new Set()
    if (asked.has(refresher)) return undefined
    this.#asked.set(target, asked.add(refresher))
    return refresher
  }
}
