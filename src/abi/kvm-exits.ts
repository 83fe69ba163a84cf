/**
 * Which reasons of kvm_run.exit_reason there are on a kernel, besides those that its own list for kvm:kvm_userspace_exit
 * has: that list ends with X86_WRMSR on every kernel since Linux 5.10. Counterpart: include/uapi/linux/kvm.h, as of 6.19.
 */

/** KVM_CHECK_EXTENSION of /dev/kvm: what a capability has for its number, 0 where the kernel lacks it. */
export type CheckExtension = (capability: number) => number

const KVM_CAP_XEN_HVM = 38
const KVM_CAP_DIRTY_LOG_RING = 192
const KVM_CAP_X86_BUS_LOCK_EXIT = 193
const KVM_CAP_X86_NOTIFY_VMEXIT = 219
const KVM_CAP_DIRTY_LOG_RING_ACQ_REL = 223
const KVM_CAP_MEMORY_FAULT_INFO = 232
const KVM_CAP_VM_TYPES = 235
const KVM_CAP_ARM_SEA_TO_USER = 245

/** A bit of KVM_CAP_XEN_HVM: the VMM may handle hypercalls. */
const KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL = 1 << 1
/** Numbers of bits of KVM_CAP_VM_TYPES. */
const KVM_X86_SEV_ES_VM = 3
const KVM_X86_TDX_VM = 5

type Needs = (check: CheckExtension) => boolean

const needs: Readonly<Record<number, Needs>> = {
  // DIRTY_RING_FULL
  31: check => check(KVM_CAP_DIRTY_LOG_RING) > 0 || check(KVM_CAP_DIRTY_LOG_RING_ACQ_REL) > 0,
  // AP_RESET_HOLD
  32: check => (check(KVM_CAP_VM_TYPES) & (1 << KVM_X86_SEV_ES_VM)) !== 0,
  // X86_BUS_LOCK
  33: check => check(KVM_CAP_X86_BUS_LOCK_EXIT) > 0,
  // XEN
  34: check => (check(KVM_CAP_XEN_HVM) & KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL) !== 0,
  // NOTIFY
  37: check => check(KVM_CAP_X86_NOTIFY_VMEXIT) > 0,
  // MEMORY_FAULT
  39: check => check(KVM_CAP_MEMORY_FAULT_INFO) > 0,
  // TDX
  40: check => (check(KVM_CAP_VM_TYPES) & (1 << KVM_X86_TDX_VM)) !== 0,
  // ARM_SEA
  41: check => check(KVM_CAP_ARM_SEA_TO_USER) > 0,
}

/** The reasons that the kernel has by what it says of its capabilities. */
export const exitsByCapability = (check: CheckExtension): number[] =>
  Object.entries(needs)
    .filter(([, isThere]) => isThere(check))
    .map(([reason]) => Number(reason))

/** The reasons that other architectures have for themselves, and those that none gives any more. */
export const EXITS_ELSEWHERE: ReadonlySet<number> = new Set([
  13, // S390_SIEIC
  14, // S390_RESET
  15, // DCR
  16, // NMI
  18, // OSI
  19, // PAPR_HCALL
  20, // S390_UCONTROL
  21, // WATCHDOG
  22, // S390_TSCH
  23, // EPR
  25, // S390_STSI
  35, // RISCV_SBI
  36, // RISCV_CSR
  38, // LOONGARCH_IOCSR
])
