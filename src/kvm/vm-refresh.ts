/**
 * What has to be fetched before an event on a whole VM is opened: the process's VMs where none is known, then the
 * counts that the event sums up, where a source keeps them elsewhere.
 */
import type { Refresher, RefreshTarget } from '../perf/pmu.js'
import { AskOnce } from './ask-once.js'
import { threadOf } from './host-refresh.js'
import { servingSource } from './serving-source.js'
import { to_vm } from './vm-event-init.js'
import type { VmList } from './vm-list.js'
import { isSummed } from './whole-vm.js'

export class VmRefresh {
  readonly #vms: VmList
  readonly #scan: Refresher | undefined
  readonly #asked = new AskOnce()

  /** @param scan looks for VMs anew; without one the list is taken as it is */
  constructor(vms: VmList, scan: Refresher | undefined) {
    this.#vms = vms
    this.#scan = scan
  }

  /**
   * The next refresh for this open, or undefined where event_init() can run.
   *
   * @param statistic what is meant; undefined: none that is known
   */
  next(target: RefreshTarget, statistic: string | undefined): Refresher | undefined {
    const tid = threadOf(target)
    const process = to_vm(target.attr.config1) || tid
    if (process <= 0) return undefined
    const vms = this.#vms.ofProcess(process)
    // A vCPU's thread is known, and none that counts.
    if (vms.length === 0 && this.#vms.vcpuOnThread(tid)) return undefined
    if (vms.length === 0 || vms.some(({ pending = [] }) => pending.length > 0)) {
      const scan = this.#asked.next(target, [this.#scan])
      if (scan || vms.length === 0) return scan
    }
    // An event that is opened disabled reads no count before it is enabled.
    if (target.attr.disabled || statistic === undefined) return undefined
    const refreshers = vms.flatMap(vm =>
      isSummed(vm, statistic)
        ? vm.vcpus.map(vcpu => servingSource(vcpu, statistic)?.refresher)
        : [vm.whole?.refresher],
    )
    return this.#asked.next(target, refreshers)
  }
}
