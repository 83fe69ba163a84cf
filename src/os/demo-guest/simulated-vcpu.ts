/**
 * A vCPU that executes nothing: its thread exists, and its statistics are a memfd laid out as KVM's descriptor, so that
 * whoever takes and reads the one reads the other.
 */
import { MFD_CLOEXEC } from '../../abi/mman.js'
import type { BurstKind } from '../../sources/demo/protocol.js'
import { SimulatedStats } from '../../sources/demo/simulated-stats.js'
import type { DemoVcpu } from '../../sources/demo/vcpu-loop.js'
import { machine, memfd_create, pwrite } from '../libc.js'

export class SimulatedVcpu implements DemoVcpu {
  /** This process's descriptor of the vCPU's statistics. */
  readonly statsFd: number
  readonly #stats: SimulatedStats

  constructor(id: number) {
    this.#stats = new SimulatedStats(machine(), `simulated-${process.pid}/vcpu-${id}`)
    this.statsFd = memfd_create(`simulated-vcpu-stats:${id}`, MFD_CLOEXEC)
    pwrite(this.statsFd, this.#stats.head, 0)
    this.#publish()
  }

  burst(kind: BurstKind, count: number): void {
    this.#stats.count(kind, count)
    this.#publish()
  }

  #publish(): void {
    pwrite(this.statsFd, this.#stats.data, this.#stats.head.byteLength)
  }
}
