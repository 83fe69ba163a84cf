/**
 * A VM as the core holds it: one object for as long as the VM lives, while vCPUs come and go.
 *
 * A vCPU whose statistics become known, or are lost, is another from then on: its events end with the counts they
 * have, instead of going on with those of another source.
 */
import type { CountSource, Vcpu, Vm, WholeSource } from '../kvm/vm.js'
import type { VcpuDescription, VmDescription } from './messages.js'

interface LiveVcpu extends Vcpu {
  readonly hasStats: boolean
}

const hasStats = ({ statsFd }: VcpuDescription): boolean => statsFd !== undefined

const isSame = (vcpu: LiveVcpu, description: VcpuDescription): boolean =>
  vcpu.id === description.id &&
  vcpu.tid === description.tid &&
  vcpu.startTime === description.startTime &&
  vcpu.hasStats === hasStats(description)

/** What is known of a VM wherever it was found. */
type LivingVm = Pick<VmDescription, 'name' | 'tgid' | 'startTime' | 'isReal' | 'vcpus' | 'pending'>

export class LiveVm implements Vm {
  readonly name: string
  readonly tgid: number
  readonly startTime: bigint
  readonly isReal: boolean
  readonly source: CountSource
  whole: WholeSource | undefined
  pending: readonly number[] = []
  #vcpus: readonly LiveVcpu[] = []

  constructor(description: LivingVm, source: CountSource) {
    // A name that no folder may have: the list makes `pid-N` of it.
    this.name = description.name ?? ''
    this.tgid = description.tgid
    this.startTime = description.startTime
    this.isReal = description.isReal
    this.source = source
    this.update(description)
  }

  get vcpus(): readonly Vcpu[] {
    return this.#vcpus
  }

  /** Takes in which vCPUs there are, known and pending; one whose thread is the same stays the same object. */
  update({ vcpus, pending = [] }: Pick<LivingVm, 'vcpus' | 'pending'>): void {
    this.pending = pending
    this.#vcpus = vcpus.map(
      description =>
        this.#vcpus.find(vcpu => isSame(vcpu, description)) ?? {
          vm: this,
          id: description.id,
          tid: description.tid,
          startTime: description.startTime,
          hasStats: hasStats(description),
        },
    )
  }
}
