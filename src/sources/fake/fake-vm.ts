/** A VM of one's own making, for tests. */
import type { Vcpu, Vm } from '../../kvm/vm.js'
import { FakeSource } from './fake-source.js'

/** What a fake VM is made of; vCPU N runs on the thread `tids[N]`. */
export interface FakeVmOptions {
  readonly name?: string
  readonly tgid?: number
  readonly tids?: readonly number[]
  readonly startTime?: bigint
  readonly source?: FakeSource
}

export class FakeVm implements Vm {
  readonly name: string
  readonly tgid: number
  readonly startTime: bigint
  readonly isReal = false
  readonly source: FakeSource
  vcpus: readonly Vcpu[]

  constructor(options: FakeVmOptions = {}) {
    const { name = 'vm1', tgid = 1000, tids = [1001, 1002], startTime = 100n } = options
    this.name = name
    this.tgid = tgid
    this.startTime = startTime
    this.source = options.source ?? new FakeSource()
    this.vcpus = tids.map((tid, id) => ({ vm: this, id, tid, startTime }))
  }

  /** Its vCPU of that number. */
  vcpu(id: number): Vcpu {
    const vcpu = this.vcpus.find(one => one.id === id)
    if (!vcpu) throw new RangeError(`VM "${this.name}" has no vCPU ${id}`)
    return vcpu
  }
}
