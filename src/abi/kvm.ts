/**
 * The KVM interface, as far as a VMM of one page per loop needs it: command numbers, capabilities, layouts that every
 * architecture shares. Counterpart: include/uapi/linux/kvm.h.
 */
import { _IO, _IOW } from './ioctl.js'
import { array, struct, u8, u16, u32, u64 } from './struct.js'

export const KVMIO = 0xae

/** The one version that KVM_GET_API_VERSION ever gave. */
export const KVM_API_VERSION = 12

/** KVM_RUN can be made to complete the last exit without running the guest. */
export const KVM_CAP_IMMEDIATE_EXIT = 136
/** KVM_GET_STATS_FD exists (Linux 5.14). */
export const KVM_CAP_BINARY_STATS_FD = 203

export const kvm_userspace_memory_region = struct('kvm_userspace_memory_region', 32, {
  slot: u32,
  flags: u32,
  guest_phys_addr: u64,
  memory_size: u64,
  userspace_addr: u64,
})

/** What stands before the union of struct kvm_run, which tells more of each kind of exit. */
export const kvm_run_head = struct('kvm_run', 32, {
  request_interrupt_window: u8,
  immediate_exit: u8,
  padding1: array(u8, 6),
  exit_reason: u32,
  ready_for_interrupt_injection: u8,
  if_flag: u8,
  flags: u16,
  cr8: u64,
  apic_base: u64,
})

/** kvm_run.exit_reason, as far as x86 and arm64 have them. */
export const KVM_EXIT_NAMES = {
  0: 'KVM_EXIT_UNKNOWN',
  1: 'KVM_EXIT_EXCEPTION',
  2: 'KVM_EXIT_IO',
  3: 'KVM_EXIT_HYPERCALL',
  4: 'KVM_EXIT_DEBUG',
  5: 'KVM_EXIT_HLT',
  6: 'KVM_EXIT_MMIO',
  7: 'KVM_EXIT_IRQ_WINDOW_OPEN',
  8: 'KVM_EXIT_SHUTDOWN',
  9: 'KVM_EXIT_FAIL_ENTRY',
  10: 'KVM_EXIT_INTR',
  11: 'KVM_EXIT_SET_TPR',
  12: 'KVM_EXIT_TPR_ACCESS',
  17: 'KVM_EXIT_INTERNAL_ERROR',
  24: 'KVM_EXIT_SYSTEM_EVENT',
  26: 'KVM_EXIT_IOAPIC_EOI',
  27: 'KVM_EXIT_HYPERV',
  28: 'KVM_EXIT_ARM_NISV',
  29: 'KVM_EXIT_X86_RDMSR',
  30: 'KVM_EXIT_X86_WRMSR',
  31: 'KVM_EXIT_DIRTY_RING_FULL',
  32: 'KVM_EXIT_AP_RESET_HOLD',
  33: 'KVM_EXIT_X86_BUS_LOCK',
  34: 'KVM_EXIT_XEN',
  37: 'KVM_EXIT_NOTIFY',
  39: 'KVM_EXIT_MEMORY_FAULT',
  40: 'KVM_EXIT_TDX',
  41: 'KVM_EXIT_ARM_SEA',
} as const satisfies Record<number, string>

/** Why KVM_RUN returned. */
export type ExitName = (typeof KVM_EXIT_NAMES)[keyof typeof KVM_EXIT_NAMES]

/** The name of kvm_run.exit_reason, or the number where it has none here. */
export const exitName = (reason: number): string =>
  (KVM_EXIT_NAMES as Record<number, string>)[reason] ?? `KVM_EXIT ${reason}`

export const KVM_GET_API_VERSION = _IO(KVMIO, 0x00)
export const KVM_CREATE_VM = _IO(KVMIO, 0x01)
export const KVM_CHECK_EXTENSION = _IO(KVMIO, 0x03)
export const KVM_GET_VCPU_MMAP_SIZE = _IO(KVMIO, 0x04)
export const KVM_CREATE_VCPU = _IO(KVMIO, 0x41)
export const KVM_SET_USER_MEMORY_REGION = _IOW(KVMIO, 0x46, kvm_userspace_memory_region.size)
export const KVM_RUN = _IO(KVMIO, 0x80)
export const KVM_GET_STATS_FD = _IO(KVMIO, 0xce)
