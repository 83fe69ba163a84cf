/** The registers of a vCPU that the demo guest's program needs, set as each architecture's KVM wants it. */
import {
  KVM_ARM_PREFERRED_TARGET,
  KVM_ARM_VCPU_INIT,
  KVM_REG_PC,
  KVM_REG_X,
  KVM_SET_ONE_REG,
  kvm_one_reg,
  kvm_vcpu_init,
} from '../../abi/kvm-arm64.js'
import {
  KVM_GET_SREGS,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  kvm_regs,
  kvm_sregs,
  X86_EFLAGS_FIXED,
} from '../../abi/kvm-x86.js'
import type { Machine } from '../../abi/syscalls.js'
import { mmioBase, port } from '../../sources/demo/guest-program.js'
import { addressOf, holding, ioctl } from '../libc.js'

/** How the registers of a vCPU are set, by its descriptor. */
interface Registers {
  /** Once, before it first runs. */
  setUp(vcpu: number, vm: number): void
  /** Has it go on at an address of the guest. */
  start(vcpu: number, address: number): void
}

const x86_64: Registers = {
  /** Puts the code at address 0 and the data where no memory is; the rest stays as a reset leaves it: real mode. */
  setUp(vcpu) {
    const bytes = new Uint8Array(kvm_sregs.size)
    ioctl(vcpu, KVM_GET_SREGS, bytes)
    const sregs = kvm_sregs.decode(bytes)
    const cs = { ...sregs.cs, base: 0n, selector: 0 }
    const ds = { ...sregs.ds, base: BigInt(mmioBase), selector: mmioBase >> 4 }
    ioctl(vcpu, KVM_SET_SREGS, kvm_sregs.encode({ ...sregs, cs, ds }))
  },
  start(vcpu, address) {
    const registers = { rip: BigInt(address), rflags: X86_EFLAGS_FIXED, rdx: BigInt(port) }
    ioctl(vcpu, KVM_SET_REGS, kvm_regs.encode(registers))
  },
}

function setOneReg(vcpu: number, id: bigint, value: bigint): void {
  const memory = new BigUint64Array([value])
  holding([memory], () => ioctl(vcpu, KVM_SET_ONE_REG, kvm_one_reg.encode({ id, addr: addressOf(memory) })))
}

const aarch64: Registers = {
  /** A reset leaves it at EL1 with the MMU off and interrupts masked. */
  setUp(vcpu, vm) {
    const init = new Uint8Array(kvm_vcpu_init.size)
    ioctl(vm, KVM_ARM_PREFERRED_TARGET, init)
    ioctl(vcpu, KVM_ARM_VCPU_INIT, init)
    setOneReg(vcpu, KVM_REG_X(9), BigInt(mmioBase))
  },
  start(vcpu, address) {
    setOneReg(vcpu, KVM_REG_PC, BigInt(address))
  },
}

export const registers: Readonly<Record<Machine, Registers>> = { x86_64, aarch64 }
