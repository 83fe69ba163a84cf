/**
 * One event for each reason to leave the guest (`exit_hlt`), and for each reason to return to the VMM
 * (`userspace_exit_io`): a tracepoint with a filter on its reason.
 *
 * Which there are is what the running kernel says: the lists of names in the tracepoints' own formats, and where these are
 * known to leave some out, its capabilities. The tables here name numbers; a number that they lack has the kernel's name.
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
import { type CheckExtension, EXITS_ELSEWHERE, exitsByCapability } from '../../abi/kvm-exits.js'
import type { KvmKind, TracepointKind } from './kinds.js'
import { type SymbolicList, symbolicLists } from './print-format.js'

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
  /** Names that stay what they are, whatever the kernel calls the numbers. */
  readonly names: ExitReasons
  /** The numbers of a kernel's lists, each with the kernel's name. */
  readonly listed: (lists: readonly SymbolicList[]) => Iterable<readonly [number, string]>
  readonly filter: (reason: number) => string
}

/** The list of VMX stands first, that of SVM second, in `isa == 1 ? ... : ...`. */
const listOf = (lists: readonly SymbolicList[], field: string, index = 0) =>
  lists.filter(list => list.field === field)[index]?.symbols ?? []

/** What is no trap; every KVM can also meet an illegal exception return, which no list has. */
const armExceptions = (lists: readonly SymbolicList[]): [number, string][] =>
  [...listOf(lists, 'ret'), [ARM_EXCEPTION_CODES.il ?? 0, 'IL'] as const]
    .filter(([code]) => code !== ARM_EXCEPTION_TRAP)
    .map(([code, name]) => [code | NO_TRAP, name])

const architectures: Partial<Record<KvmKind, Architecture>> = {
  intel: {
    names: VMX_EXIT_REASONS,
    listed: lists => listOf(lists, 'exit_reason'),
    filter: reason =>
      `isa==${KVM_ISA_VMX}&&(${vmxBits.map(bits => `exit_reason==${hex(reason | bits)}`).join('||')})`,
  },
  amd: {
    names: SVM_EXIT_REASONS,
    listed: lists => listOf(lists, 'exit_reason', 1),
    filter: reason => `isa==${KVM_ISA_SVM}&&exit_reason==${hex(reason)}`,
  },
  arm64: {
    names: {
      ...Object.fromEntries(
        Object.entries(ARM_EXCEPTION_CODES).map(([name, code]) => [name, code | NO_TRAP]),
      ),
      ...ESR_ELX_EC,
    },
    listed: lists => [...armExceptions(lists), ...listOf(lists, 'esr_ec')],
    filter: reason =>
      reason & NO_TRAP ? `ret==${reason & ~NO_TRAP}` : `ret==${ARM_EXCEPTION_TRAP}&&esr_ec==${hex(reason)}`,
  },
}

/** The kernel's own name as a part of an event's: "idle-halt" is idle_halt. */
const fit = (name: string): string =>
  name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_|_$/g, '')

/** Numbers with their names here, else with the kernel's; a name that another number has is told apart by the number. */
function named(listed: Iterable<readonly [number, string]>, names: ExitReasons): Map<number, string> {
  const known = new Map(Object.entries(names).map(([name, value]) => [value, name]))
  const used = new Set(Object.keys(names))
  const result = new Map<number, string>()
  for (const [value, text] of listed) {
    const own = fit(text)
    const name = known.get(value) ?? (used.has(own) || own === '' ? `${own}_${hex(value)}` : own)
    used.add(name)
    if (!result.has(value)) result.set(value, name)
  }
  return result
}

/**
 * Why the guest was left, by the names of the host's architecture; none where it is not known to tell.
 *
 * @param format that of kvm_exit
 */
export function exitReasonKinds(kvm: KvmKind, format: string): TracepointKind[] {
  const architecture = architectures[kvm]
  if (!architecture) return []
  const reasons = named(architecture.listed(symbolicLists(format)), architecture.names)
  return [...reasons].map(([value, name]) => ({
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

const PREFIX = 'KVM_EXIT_'

const userspaceNames: ExitReasons = Object.fromEntries(
  Object.entries(KVM_EXIT_NAMES).map(([value, name]) => [fit(name.slice(PREFIX.length)), Number(value)]),
)

/** Numbers that are not known here are taken for this architecture's: its kernel lists them. */
function returnsFor(kvm: KvmKind, reason: number): boolean {
  const name = (KVM_EXIT_NAMES as Partial<Record<number, ExitName>>)[reason]
  if (name === undefined) return !EXITS_ELSEWHERE.has(reason)
  return sharedExits.includes(name) || armExits.includes(name) === (kvm === 'arm64')
}

const EINTR = -4
const EFAULT = -14
const EHWPOISON = -133

/** KVM_RUN that fails with EINTR leaves the reason as it was: it is the error that tells. */
const filters: Partial<Record<ExitName, string>> = {
  KVM_EXIT_INTR: `errno==${EINTR}`,
  KVM_EXIT_MEMORY_FAULT: `reason==39&&(errno==0||errno==${EFAULT}||errno==${EHWPOISON})`,
}

function userspaceFilter(reason: number): string {
  const name = (KVM_EXIT_NAMES as Partial<Record<number, ExitName>>)[reason]
  return (name && filters[name]) ?? `reason==${reason}&&errno==0`
}

/**
 * Why KVM_RUN returned to the VMM: KVM_EXIT_ names.
 *
 * @param format that of kvm_userspace_exit
 */
export function userspaceExitReasonKinds(
  kvm: KvmKind,
  format: string,
  check: CheckExtension,
): TracepointKind[] {
  const listed = [...listOf(symbolicLists(format), 'reason')].map(
    ([value, name]) => [value, name.replace(PREFIX, '')] as const,
  )
  const all = [...listed, ...exitsByCapability(check).map(value => [value, ''] as const)]
  const reasons = named(
    all.filter(([value]) => returnsFor(kvm, value)),
    userspaceNames,
  )
  return [...reasons].map(([value, name]) => ({
    name: `userspace_exit_${name}`,
    tracepoint: 'kvm_userspace_exit',
    filter: userspaceFilter(value),
    reason: { of: 'kvm_userspace_exit_reason', value },
    raisedBy: [kvm],
  }))
}
