/**
 * What has to be fetched before an event is opened: the thread's VM where the thread is not known, then that VM's
 * counts where its source keeps them elsewhere.
 */
import type { Refresher, RefreshTarget } from '../perf/pmu.js'
import { AskOnce } from './ask-once.js'
import type { VmList } from './vm-list.js'

/** The thread that an open names, 0 or below where it names none. pid 0 is the caller's own thread. */
export const threadOf = ({ tid, caller }: RefreshTarget): number => (tid === 0 ? caller.tid : tid)

export class HostRefresh {
  readonly #vms: VmList
  readonly #scan: Refresher | undefined
  readonly #asked = new AskOnce()

  /** @param scan looks for VMs anew; without one the list is taken as it is */
  constructor(vms: VmList, scan: Refresher | undefined) {
    this.#vms = vms
    this.#scan = scan
  }

  /** The next refresh for this open, or undefined where event_init() can run. */
  next(target: RefreshTarget): Refresher | undefined {
    const tid = threadOf(target)
    if (tid <= 0) return undefined
    const vcpu = this.#vms.vcpuOnThread(tid)
    if (!vcpu) return this.#asked.next(target, [this.#scan])
    // An event that is opened disabled reads no count before it is enabled.
    return target.attr.disabled ? undefined : this.#asked.next(target, [vcpu.vm.source.refresher])
  }
}
