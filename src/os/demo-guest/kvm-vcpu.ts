/**
 * One vCPU of KVM, run by the thread that makes it. It holds its descriptor of KVM's statistics open, so that others
 * can take and read it.
 *
 * Which statistic counts what differs between kinds of KVM: with VMX or SVM an OUT is one of `io_exits`; KVM_PVM
 * emulates real mode, counts it in `insn_emulation`, and leaves `io_exits` alone. `mmio_exits` and `halt_exits` are
 * exact on both. `exits` adds those that the host's own interrupts make. Each burst enters the guest once
 * more for each page of code, without running it, which `fpu_reload` counts. On arm64 `mmio_exit_user` is exact, and
 * `wfi_exit_stat` but for a WFI that an interrupt of the host's coincides with, which a CPU need not trap.
 */
import { ErrnoError } from '../../abi/errno.js'
import { exitName, KVM_CREATE_VCPU, KVM_GET_STATS_FD, KVM_RUN, kvm_run_head } from '../../abi/kvm.js'
import { MAP_SHARED, PROT_READ, PROT_WRITE } from '../../abi/mman.js'
import { type Pass, passes, type Sled, sledOf } from '../../sources/demo/guest-program.js'
import type { BurstKind } from '../../sources/demo/protocol.js'
import type { DemoVcpu } from '../../sources/demo/vcpu-loop.js'
import { close, ioctl, machine, memoryAt, mmap, munmap } from '../libc.js'
import { registers } from './kvm-registers.js'
import type { KvmVm } from './kvm-vm.js'
import { Taken } from './taken.js'
import { WakeTimer } from './wake-timer.js'

const { exit_reason, immediate_exit } = kvm_run_head.offsets

export class KvmVcpu implements DemoVcpu {
  /** This process's descriptor of the vCPU's statistics. */
  readonly statsFd: number
  readonly #fd: number
  readonly #run: DataView
  /** The mapping alone keeps the vCPU and its VM in the kernel. */
  readonly #taken = new Taken()
  #wakeTimer: WakeTimer | undefined

  constructor({ fd, runSize }: KvmVm, id: number) {
    const vcpu = ioctl(fd, KVM_CREATE_VCPU, id)
    this.#taken.add(() => close(vcpu))
    this.#fd = vcpu
    try {
      const protection = PROT_READ | PROT_WRITE
      const address = mmap({ length: runSize, protection, flags: MAP_SHARED, fd: vcpu })
      this.#taken.add(() => munmap(address, runSize))
      this.#run = new DataView(memoryAt(address, runSize))
      registers[machine()].setUp(vcpu, fd)
      const statsFd = ioctl(vcpu, KVM_GET_STATS_FD)
      this.#taken.add(() => close(statsFd))
      this.statsFd = statsFd
    } catch (error) {
      this.#taken.giveBack()
      throw error
    }
  }

  burst(kind: BurstKind, count: number): void {
    const sled = sledOf(machine(), kind)
    for (const pass of passes(machine(), kind, count)) this.#pass(sled, pass)
  }

  /** Ends the vCPU; nothing of it may be used afterwards. */
  close(): void {
    this.#wakeTimer?.close()
    this.#taken.giveBack()
  }

  #pass(sled: Sled, { address, exits }: Pass): void {
    registers[machine()].start(this.#fd, address)
    this.#run.setUint8(immediate_exit, 0)
    for (let taken = 0; taken < exits; taken++) this.#takeExit(sled)
    this.#completeLastExit()
  }

  #takeExit({ exit, blocks }: Sled): void {
    if (blocks) this.#enterAwake()
    else while (!this.#enter());
    const left = exitName(this.#run.getUint32(exit_reason, true))
    if (left === exit) return
    throw new ErrnoError('EIO', `Cannot run the guest: it left by ${left}, ${exit} wanted`)
  }

  /** Enters the guest until it has left by itself; whatever it blocks in is ended by a signal. */
  #enterAwake(): void {
    this.#wakeTimer ??= new WakeTimer()
    do this.#wakeTimer.start()
    while (!this.#enter())
    this.#wakeTimer.stop()
  }

  /** An exit's instruction is complete only after the next entry; immediate_exit keeps that from running on. */
  #completeLastExit(): void {
    this.#run.setUint8(immediate_exit, 1)
    if (this.#enter()) throw new ErrnoError('EIO', 'Cannot stop the guest: KVM ignored immediate_exit')
  }

  /** Enters the guest; whether it left by itself, and was not interrupted. */
  #enter(): boolean {
    try {
      ioctl(this.#fd, KVM_RUN)
      return true
    } catch (error) {
      if (error instanceof ErrnoError && error.code === 'EINTR') return false
      throw error
    }
  }
}
