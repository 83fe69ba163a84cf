/**
 * What KVM keeps of a vCPU of arm64, and how a register of it is named.
 * Counterparts: arch/arm64/include/uapi/asm/kvm.h, arch/arm64/include/uapi/asm/ptrace.h, include/uapi/linux/kvm.h.
 */
import { _IOR, _IOW } from './ioctl.js'
import { KVMIO } from './kvm.js'
import { array, struct, u32, u64 } from './struct.js'

export const kvm_vcpu_init = struct('kvm_vcpu_init', 32, { target: u32, features: array(u32, 7) })

/** `addr` is where the value lies in this process's memory. */
export const kvm_one_reg = struct('kvm_one_reg', 16, { id: u64, addr: u64 })

/** What arm64's struct kvm_regs begins with. */
export const user_pt_regs = struct('user_pt_regs', 272, {
  regs: array(u64, 31),
  sp: u64,
  pc: u64,
  pstate: u64,
})

const KVM_REG_ARM64 = 0x6000000000000000n
const KVM_REG_SIZE_U64 = 0x0030000000000000n
const KVM_REG_ARM_CORE = 0x10n << 16n

/** A register of struct kvm_regs by where it lies there, in units of 32 bits. */
const coreReg = (offset: number): bigint =>
  KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | BigInt(offset / 4)

/** The program counter. */
export const KVM_REG_PC = coreReg(user_pt_regs.offsets.pc)
/** A general register: x0 to x30. */
export const KVM_REG_X = (n: number): bigint => coreReg(user_pt_regs.offsets.regs + 8 * n)

/** A type of VM: how many bits its guest-physical addresses have. 32 are what every host can give. */
export const KVM_VM_TYPE_ARM_IPA_SIZE = (bits: number): number => bits & 0xff

export const KVM_SET_ONE_REG = _IOW(KVMIO, 0xac, kvm_one_reg.size)
export const KVM_ARM_VCPU_INIT = _IOW(KVMIO, 0xae, kvm_vcpu_init.size)
export const KVM_ARM_PREFERRED_TARGET = _IOR(KVMIO, 0xaf, kvm_vcpu_init.size)
