/**
 * One event for each reason to leave the guest (`exit_hlt`), and for each reason to return to the VMM
 * (`userspace_exit_io`): a tracepoint with a filter on its reason.
 */
import { type ExitName, KVM_EXIT_NAMES } from '../../abi/kvm.js'
import {
  ARM_EXCEPTION_CODES,
  ARM_EXCEPTION_TRAP,
  ESR_ELX_EC,
  type ExitReasons,
  KVM_ISA_SVM,
  KVM_ISA_VMX,
  SVM_EXIT_REASONS,
  VMX_EXIT_REASONS,
  VMX_EXIT_REASONS_BUS_LOCK_DETECTED,
  VMX_EXIT_REASONS_FAILED_VMENTRY,
  VMX_EXIT_REASONS_SGX_ENCLAVE_MODE,
} from '../../abi/kvm-exit-reasons.js'
import type { KvmKind, TracepointKind } from './kinds.js'

const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`

/** A reason of VMX comes with bits of its own kind, and a filter cannot mask: each of their sums is named. */
const vmxBits = [
  0,
  VMX_EXIT_REASONS_BUS_LOCK_DETECTED,
  VMX_EXIT_REASONS_SGX_ENCLAVE_MODE,
  VMX_EXIT_REASONS_BUS_LOCK_DETECTED | VMX_EXIT_REASONS_SGX_ENCLAVE_MODE,
  VMX_EXIT_REASONS_FAILED_VMENTRY,
]

/** The bit that tells arm64's exceptions that are no traps from the classes of those that are. */
const NO_TRAP = 0x100

interface Architecture {
  readonly reasons: ExitReasons
  readonly filter: (reason: number) => string
}

const architectures: Partial<Record<KvmKind, Architecture>> = {
  intel: {
    reasons: VMX_EXIT_REASONS,
    filter: reason =>
      `isa==${KVM_ISA_VMX}&&(${vmxBits.map(bits => `exit_reason==${hex(reason | bits)}`).join('||')})`,
  },
  amd: {
    reasons: SVM_EXIT_REASONS,
    filter: reason => `isa==${KVM_ISA_SVM}&&exit_reason==${hex(reason)}`,
  },
  arm64: {
    reasons: {
      ...Object.fromEntries(
        Object.entries(ARM_EXCEPTION_CODES).map(([name, code]) => [name, code | NO_TRAP]),
      ),
      ...ESR_ELX_EC,
    },
    filter: reason =>
      reason & NO_TRAP ? `ret==${reason & ~NO_TRAP}` : `ret==${ARM_EXCEPTION_TRAP}&&esr_ec==${hex(reason)}`,
  },
}

/** Why the guest was left, by the names of the host's architecture; none where it is not known to tell. */
export function exitReasonKinds(kvm: KvmKind): TracepointKind[] {
  const architecture = architectures[kvm]
  if (!architecture) return []
  return Object.entries(architecture.reasons).map(([name, value]) => ({
    name: `exit_${name}`,
    tracepoint: 'kvm_exit',
    filter: architecture.filter(value),
    reason: { of: 'kvm_exit_reason', value },
    raisedBy: [kvm],
  }))
}

/** What only arm64 returns for, and what both it and x86 do; the others are x86's. */
const armExits: readonly ExitName[] = ['KVM_EXIT_ARM_NISV', 'KVM_EXIT_ARM_SEA']
const sharedExits: readonly ExitName[] = [
  'KVM_EXIT_UNKNOWN',
  'KVM_EXIT_HYPERCALL',
  'KVM_EXIT_DEBUG',
  'KVM_EXIT_MMIO',
  'KVM_EXIT_FAIL_ENTRY',
  'KVM_EXIT_INTR',
  'KVM_EXIT_INTERNAL_ERROR',
  'KVM_EXIT_SYSTEM_EVENT',
  'KVM_EXIT_DIRTY_RING_FULL',
  'KVM_EXIT_MEMORY_FAULT',
]

const returnsFor = (kvm: KvmKind, name: ExitName): boolean =>
  sharedExits.includes(name) || armExits.includes(name) === (kvm === 'arm64')

/** KVM_RUN that fails with EINTR leaves the reason as it was: it is the error that tells. */
const EINTR = -4

const userspaceFilter = (name: ExitName, value: number): string =>
  name === 'KVM_EXIT_INTR' ? `errno==${EINTR}` : `reason==${value}&&errno==0`

/** Why KVM_RUN returned to the VMM: KVM_EXIT_ names. */
export function userspaceExitReasonKinds(kvm: KvmKind): TracepointKind[] {
  return Object.entries(KVM_EXIT_NAMES)
    .filter(([, name]) => returnsFor(kvm, name))
    .map(([number, name]) => ({
      name: `userspace_exit_${name.slice('KVM_EXIT_'.length).toLowerCase()}`,
      tracepoint: 'kvm_userspace_exit',
      filter: userspaceFilter(name, Number(number)),
      reason: { of: 'kvm_userspace_exit_reason', value: Number(number) },
      raisedBy: [kvm],
    }))
}
