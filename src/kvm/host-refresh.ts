/**
 * What has to be fetched before an event is opened: the thread's VM where the thread is not known, then that VM's
 * counts where its source keeps them elsewhere.
 */
import type { Refresher, RefreshTarget } from '../perf/pmu.js'
import { AskOnce } from './ask-once.js'
import type { Vcpu } from './vm.js'
import type { VmList } from './vm-list.js'

/** The thread that an open names, 0 or below where it names none. pid 0 is the caller's own thread. */
export const threadOf = ({ tid, caller }: RefreshTarget): number => (tid === 0 ? caller.tid : tid)

/** The refreshers that an open may need. */
export interface Refreshers {
  /** Looks for VMs anew; without it the list is taken as it is. */
  readonly scan: Refresher | undefined
  /** What fetches the counts of an event on a vCPU; undefined where they are at hand. */
  counts(attr: RefreshTarget['attr'], vcpu: Vcpu): Refresher | undefined
}

export class HostRefresh {
  readonly #vms: VmList
  readonly #refreshers: Refreshers
  readonly #asked = new AskOnce()

  constructor(vms: VmList, refreshers: Refreshers) {
    this.#vms = vms
    this.#refreshers = refreshers
  }

  /** The next refresh for this open, or undefined where event_init() can run. */
  next(target: RefreshTarget): Refresher | undefined {
    const tid = threadOf(target)
    if (tid <= 0) return undefined
    const vcpu = this.#vms.vcpuOnThread(tid)
    if (!vcpu) return this.#asked.next(target, [this.#refreshers.scan])
    // An event that is opened disabled reads no count before it is enabled.
    if (target.attr.disabled) return undefined
    return this.#asked.next(target, [this.#refreshers.counts(target.attr, vcpu)])
  }
}
