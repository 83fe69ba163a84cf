/**
 * One vCPU of KVM, run by the thread that makes it. It holds its descriptor of KVM's statistics open, so that others
 * can take and read it.
 *
 * Which statistic counts what differs between kinds of KVM: with VMX or SVM an OUT is one of `io_exits`; KVM_PVM
 * emulates real mode, counts it in `insn_emulation`, and leaves `io_exits` alone. `mmio_exits` and `halt_exits` are
 * exact on both. `exits` adds those that the host's own interrupts make. Each burst enters the guest once
 * more for each page of code, without running it, which `fpu_reload` counts.
 */
import { ErrnoError } from '../../abi/errno.js'
import {
  exitName,
  KVM_CREATE_VCPU,
  KVM_GET_SREGS,
  KVM_GET_STATS_FD,
  KVM_RUN,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  kvm_regs,
  kvm_run_head,
  kvm_sregs,
  X86_EFLAGS_FIXED,
} from '../../abi/kvm.js'
import { MAP_SHARED, PROT_READ, PROT_WRITE } from '../../abi/mman.js'
import { mmioBase, type Pass, passes, port, sleds } from '../../sources/demo/guest-program.js'
import type { BurstKind } from '../../sources/demo/protocol.js'
import type { DemoVcpu } from '../../sources/demo/vcpu-loop.js'
import { close, ioctl, memoryAt, mmap, munmap } from '../libc.js'
import type { KvmVm } from './kvm-vm.js'

const { exit_reason, immediate_exit } = kvm_run_head.offsets

/** Puts the code at address 0 and the data where no memory is; the rest stays as a reset leaves it: real mode. */
function setSegments(fd: number): void {
  const bytes = new Uint8Array(kvm_sregs.size)
  ioctl(fd, KVM_GET_SREGS, bytes)
  const sregs = kvm_sregs.decode(bytes)
  const cs = { ...sregs.cs, base: 0n, selector: 0 }
  const ds = { ...sregs.ds, base: BigInt(mmioBase), selector: mmioBase >> 4 }
  ioctl(fd, KVM_SET_SREGS, kvm_sregs.encode({ ...sregs, cs, ds }))
}

export class KvmVcpu implements DemoVcpu {
  /** This process's descriptor of the vCPU's statistics. */
  readonly statsFd: number
  readonly #fd: number
  readonly #runAddress: bigint
  readonly #runSize: number
  readonly #run: DataView

  constructor({ fd, runSize }: KvmVm, id: number) {
    this.#fd = ioctl(fd, KVM_CREATE_VCPU, id)
    this.#runSize = runSize
    try {
      const protection = PROT_READ | PROT_WRITE
      this.#runAddress = mmap({ length: runSize, protection, flags: MAP_SHARED, fd: this.#fd })
      this.#run = new DataView(memoryAt(this.#runAddress, runSize))
      setSegments(this.#fd)
      this.statsFd = ioctl(this.#fd, KVM_GET_STATS_FD)
    } catch (error) {
      close(this.#fd)
      throw error
    }
  }

  burst(kind: BurstKind, count: number): void {
    for (const pass of passes(kind, count)) this.#pass(kind, pass)
  }

  /** Ends the vCPU; nothing of it may be used afterwards. */
  close(): void {
    close(this.statsFd)
    munmap(this.#runAddress, this.#runSize)
    close(this.#fd)
  }

  #pass(kind: BurstKind, { rip, exits }: Pass): void {
    const registers = { rip: BigInt(rip), rflags: X86_EFLAGS_FIXED, rdx: BigInt(port) }
    ioctl(this.#fd, KVM_SET_REGS, kvm_regs.encode(registers))
    this.#run.setUint8(immediate_exit, 0)
    for (let taken = 0; taken < exits; taken++) this.#takeExit(kind)
    this.#completeLastExit()
  }

  #takeExit(kind: BurstKind): void {
    while (!this.#enter());
    const exit = exitName(this.#run.getUint32(exit_reason, true))
    if (exit === sleds[kind].exit) return
    throw new ErrnoError('EIO', `Cannot run the guest: it left by ${exit}, ${sleds[kind].exit} wanted`)
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
