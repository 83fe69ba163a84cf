/**
 * One statistic of a whole VM: kept by KVM for the VM, or the sum of what it keeps for each vCPU.
 *
 * A sum only grows, whichever vCPUs come and go: what one that went has counted stays in it. KVM knows a vCPU by its
 * number until the VM ends, and so do the sums: a VMM that unplugs a vCPU keeps it aside, and where it plugs it in
 * again its statistics go on from where they were.
 */
import type { Failure } from '../abi/errno.js'
import { log } from '../log.js'
import type { Refresher } from '../perf/pmu.js'
import type { Arming } from './arming.js'
import type { Counted } from './counted.js'
import { Followed } from './followed.js'
import { refreshAll } from './refresh-all.js'
import { isDescribed, servingSource } from './serving-source.js'
import type { Vcpu, Vm } from './vm.js'

/** A statistic of one VM. */
export interface WholeVm extends Omit<Counted, 'what'> {
  readonly vm: Vm
  /** What it has counted as far as that is known. */
  readonly total: bigint
  /** The VM's vCPUs have changed; those that went can still be read. */
  update(gone: readonly Vcpu[]): void
}

/** A statistic that KVM keeps for the VM itself. */
export class VmStatistic implements WholeVm {
  readonly vm: Vm
  readonly #event: string
  readonly #followed: Followed

  constructor(vm: Vm, event: string) {
    this.vm = vm
    this.#event = event
    this.#followed = new Followed(vm.whole?.get_event_count(event))
  }

  get refresher(): Refresher | undefined {
    return this.vm.whole?.refresher
  }

  get total(): bigint {
    return this.#followed.total
  }

  get_event_count(): bigint | undefined {
    return this.#followed.follow(this.vm.whole?.get_event_count(this.#event)) ? this.total : undefined
  }

  arm(): undefined {}
  disarm(): void {}
  update(): void {}
}

/** Whether a statistic of this VM, a bucket of a histogram included, is the sum over its vCPUs, all of which are known. */
export const isSummed = ({ source, pending = [] }: Vm, statistic: string): boolean =>
  pending.length === 0 && isDescribed(source, statistic)

/** What a sum over vCPUs needs besides the VM. */
export interface SumOptions {
  readonly event: string
  readonly arming: Arming
  /** Whether a vCPU has done nothing yet when it is first seen by a sum that is older. */
  readonly isFresh: (vcpu: Vcpu) => boolean
}

/** A statistic that KVM keeps for each vCPU, summed over them. */
export class VcpuSum implements WholeVm {
  readonly vm: Vm
  readonly #options: SumOptions
  /** By KVM's number of the vCPU; those that went stay. */
  readonly #parts = new Map<number, Followed>()
  readonly #armed = new Set<Vcpu>()
  #isArmed = false

  constructor(vm: Vm, options: SumOptions) {
    this.vm = vm
    this.#options = options
    for (const vcpu of vm.vcpus) this.#parts.set(vcpu.id, new Followed(this.#read(vcpu)))
  }

  get refresher(): Refresher | undefined {
    return refreshAll(this.vm.vcpus.map(vcpu => servingSource(vcpu, this.#options.event)?.refresher))
  }

  get total(): bigint {
    let sum = 0n
    for (const { total } of this.#parts.values()) sum += total
    return BigInt.asUintN(64, sum)
  }

  get_event_count(): bigint | undefined {
    // Each is followed, whether or not another can be: the sum is short of none.
    const followed = this.vm.vcpus.map(vcpu => this.#follow(vcpu))
    return followed.every(Boolean) ? this.total : undefined
  }

  arm(): Failure | undefined {
    this.#isArmed = true
    for (const vcpu of this.vm.vcpus) {
      const failure = this.#armOne(vcpu)
      if (!failure) continue
      this.disarm()
      return failure
    }
    return undefined
  }

  disarm(): void {
    this.#isArmed = false
    for (const vcpu of this.#armed) this.#disarmOne(vcpu)
  }

  update(gone: readonly Vcpu[]): void {
    for (const vcpu of gone) {
      if (this.#isKept(vcpu)) this.#take(vcpu)
      if (this.#armed.has(vcpu)) this.#disarmOne(vcpu)
    }
    for (const vcpu of this.vm.vcpus) {
      if (!this.#parts.has(vcpu.id))
        this.#parts.set(vcpu.id, new Followed(this.#options.isFresh(vcpu) ? 0n : this.#read(vcpu)))
      // One that comes back may be kept by a source that counts from 0 again.
      this.#follow(vcpu)
    }
  }

  #read(vcpu: Vcpu): bigint | undefined {
    return this.vm.source.get_event_count(vcpu, this.#options.event)
  }

  /** Whether its source counts it, as far as the sum wants that: what one that is not armed shows is no count. */
  #isKept(vcpu: Vcpu): boolean {
    return !this.#isArmed || this.#armed.has(vcpu)
  }

  /** Follows one; where it came while the sum was armed and could not be armed, that is tried again first. */
  #follow(vcpu: Vcpu): boolean {
    const failure = this.#isKept(vcpu) ? undefined : this.#armOne(vcpu)
    if (!failure) return this.#take(vcpu)
    log.sources('"%s" of vCPU thread %d is not armed: %s', this.#options.event, vcpu.tid, failure.message)
    return false
  }

  #take(vcpu: Vcpu): boolean {
    return this.#parts.get(vcpu.id)?.follow(this.#read(vcpu)) ?? false
  }

  #armOne(vcpu: Vcpu): Failure | undefined {
    const { arming, event } = this.#options
    const failure = arming.configure_event(vcpu, event, true)
    if (!failure) this.#armed.add(vcpu)
    return failure
  }

  #disarmOne(vcpu: Vcpu): void {
    const { arming, event } = this.#options
    this.#armed.delete(vcpu)
    const failure = arming.configure_event(vcpu, event, false)
    if (failure) log.kvm('"%s" of vCPU thread %d stays armed: %s', event, vcpu.tid, failure.message)
  }
}
