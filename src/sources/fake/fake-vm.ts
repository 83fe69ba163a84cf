/** A VM of one's own making, for tests. */
import type { Vcpu, Vm } from '../../kvm/vm.js'
import { FakeSource } from './fake-source.js'
import type { FakeWhole } from './fake-whole.js'

/** What a fake VM is made of; vCPU N runs on the thread `tids[N]`. */
export interface FakeVmOptions {
  readonly name?: string
  readonly tgid?: number
  readonly tids?: readonly number[]
  readonly startTime?: bigint
  readonly source?: FakeSource
  readonly whole?: FakeWhole
}

export class FakeVm implements Vm {
  readonly name: string
  readonly tgid: number
  readonly startTime: bigint
  readonly isReal = false
  readonly source: FakeSource
  readonly whole: FakeWhole | undefined
  vcpus: readonly Vcpu[]
  /** vCPUs that are there and on no thread that is known; the list has to be told. */
  pending: readonly number[] = []

  constructor(options: FakeVmOptions = {}) {
    const { name = 'vm1', tgid = 1000, tids = [1001, 1002], startTime = 100n } = options
    this.name = name
    this.tgid = tgid
    this.startTime = startTime
    this.source = options.source ?? new FakeSource()
    this.whole = options.whole
    this.vcpus = tids.map((tid, id) => ({ vm: this, id, tid, startTime }))
  }

  /** Plugs a vCPU in; the list has to be told. */
  plug(id: number, tid: number, startTime = this.startTime): Vcpu {
    const vcpu = { vm: this, id, tid, startTime }
    this.vcpus = [...this.vcpus, vcpu]
    return vcpu
  }

  /** Unplugs one; the list has to be told. */
  unplug(id: number): void {
    this.vcpus = this.vcpus.filter(vcpu => vcpu.id !== id)
  }

  /** Its vCPU of that number. */
  vcpu(id: number): Vcpu {
    const vcpu = this.vcpus.find(one => one.id === id)
    if (!vcpu) throw new RangeError(`VM "${this.name}" has no vCPU ${id}`)
    return vcpu
  }
}
