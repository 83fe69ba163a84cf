/**
 * The kinds of event that a tracepoint of KVM counts for one vCPU, and who raises it.
 *
 * Only tracepoints that the vCPU's own thread raises are here, since a perf event on that thread sees no others:
 * kvm_set_irq, for one, is mostly raised by whoever has an interrupt.
 * A kind has a statistic's name only where KVM adds to the statistic at the very place where it raises the
 * tracepoint, so that the two always move together; else its name is the tracepoint's with "trace_" before it, as that of
 * the function that raises it.
 */
import { eventOfTracepoint } from '../../abi/tracepoint.js'
import type { EventDescription } from '../../kvm/vm.js'

/** Which code enters and leaves guests on this host; `other` is a module that is known for neither name nor calls. */
export type KvmKind = 'intel' | 'amd' | 'other-x86' | 'arm64'

export interface TracepointKind extends EventDescription {
  readonly tracepoint: string
  /** Which hits count, in the language of Documentation/trace/events.rst. */
  readonly filter?: string
  /** The kinds of KVM whose source calls it. */
  readonly raisedBy: readonly KvmKind[]
}

const everyKvm: readonly KvmKind[] = ['intel', 'amd', 'other-x86', 'arm64']
/** Raised in the part of KVM that all of x86 shares. */
const x86: readonly KvmKind[] = ['intel', 'amd', 'other-x86']
/** Raised by kvm_intel and kvm_amd themselves. */
const vendors: readonly KvmKind[] = ['intel', 'amd']
const arm64: readonly KvmKind[] = ['arm64']

/**
 * Statistics. The places, in this order: x86_decode_emulated_instruction(), handle_emulation_failure(),
 * kvm_put_guest_fpu(), vmx_inject_irq() and svm_inject_irq(); on arm64 kvm_arch_vcpu_ioctl_run(), handle_hvc() and
 * kvm_handle_wfx().
 */
const statistics: readonly TracepointKind[] = [
  { name: 'insn_emulation', tracepoint: 'kvm_emulate_insn', filter: 'failed==0', raisedBy: x86 },
  { name: 'insn_emulation_fail', tracepoint: 'kvm_emulate_insn', filter: 'failed==1', raisedBy: x86 },
  { name: 'fpu_reload', tracepoint: 'kvm_fpu', filter: 'load==0', raisedBy: x86 },
  { name: 'irq_injections', tracepoint: 'kvm_inj_virq', raisedBy: vendors },
  { name: 'exits', tracepoint: 'kvm_exit', raisedBy: arm64 },
  { name: 'hvc_exit_stat', tracepoint: 'kvm_hvc_arm64', raisedBy: arm64 },
  { name: 'wfe_exit_stat', tracepoint: 'kvm_wfx_arm64', filter: 'is_wfe==1', raisedBy: arm64 },
  { name: 'wfi_exit_stat', tracepoint: 'kvm_wfx_arm64', filter: 'is_wfe==0', raisedBy: arm64 },
]

const own = (raisedBy: readonly KvmKind[], ...tracepoints: string[]): TracepointKind[] =>
  tracepoints.map(tracepoint => ({ name: eventOfTracepoint(tracepoint), tracepoint, raisedBy }))

export const kinds: readonly TracepointKind[] = [
  ...statistics,
  ...own(everyKvm, 'kvm_userspace_exit', 'kvm_mmio', 'kvm_vcpu_wakeup', 'kvm_halt_poll_ns'),
  ...own([...vendors, 'arm64'], 'kvm_entry', 'kvm_exit'),
  ...own(x86, 'kvm_pio', 'kvm_msr', 'kvm_cpuid', 'kvm_hypercall', 'kvm_inj_exception', 'kvm_apic'),
  ...own(x86, 'kvm_apic_ipi', 'kvm_eoi', 'kvm_pv_eoi', 'kvm_pv_tlb_flush'),
  ...own(vendors, 'kvm_cr', 'kvm_page_fault', 'kvm_fast_mmio', 'kvm_nested_vmenter', 'kvm_nested_vmexit'),
  ...own(arm64, 'kvm_guest_fault', 'kvm_sys_access', 'kvm_mmio_emulate', 'kvm_set_way_flush'),
  ...own(arm64, 'kvm_toggle_cache'),
]
