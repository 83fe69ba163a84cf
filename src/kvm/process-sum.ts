/**
 * What one event of the PMU `kvm_vm` counts: a statistic of the VMs that a process ran when the event was opened, most
 * of them one. A VM that ends leaves what it has counted; the sum ends with the last.
 */
import type { Failure } from '../abi/errno.js'
import type { Refresher } from '../perf/pmu.js'
import type { Counted } from './counted.js'
import { refreshAll } from './refresh-all.js'
import type { VmChange } from './vm-list.js'
import type { WholeVm } from './whole-vm.js'

export class ProcessSum implements Counted {
  readonly what: string
  readonly #vms = new Set<WholeVm>()
  /** Of VMs that have ended. */
  #ended = 0n
  #isArmed = false

  /** @param what for messages */
  constructor(what: string, vms: Iterable<WholeVm>) {
    this.what = what
    this.#vms = new Set(vms)
  }

  /** Whether none of its VMs is left. */
  get isOver(): boolean {
    return this.#vms.size === 0
  }

  get refresher(): Refresher | undefined {
    return refreshAll([...this.#vms].map(({ refresher }) => refresher))
  }

  get_event_count(): bigint | undefined {
    let sum: bigint | undefined = this.#ended
    for (const each of this.#vms) {
      const count = each.get_event_count()
      sum = sum === undefined || count === undefined ? undefined : sum + count
    }
    return sum === undefined ? undefined : BigInt.asUintN(64, sum)
  }

  arm(): Failure | undefined {
    const armed: WholeVm[] = []
    for (const each of this.#vms) {
      const failure = each.arm()
      if (failure) {
        for (const done of armed) done.disarm()
        return failure
      }
      armed.push(each)
    }
    this.#isArmed = true
    return undefined
  }

  disarm(): void {
    this.#isArmed = false
    for (const each of this.#vms) each.disarm()
  }

  /** Follows one of its VMs, whose source can still be read where the VM has gone. */
  follow({ kind, vm, gone }: VmChange): void {
    for (const each of this.#vms) {
      if (each.vm !== vm) continue
      if (kind === 'removed') this.#end(each)
      else each.update(gone)
    }
  }

  #end(each: WholeVm): void {
    this.#ended += each.get_event_count() ?? each.total
    if (this.#isArmed) each.disarm()
    this.#vms.delete(each)
  }
}
