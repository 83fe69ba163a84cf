/**
 * Which config selects which event. Ids are ABI: scripts and recorded sessions name events by number, so a name
 * keeps its id on every kernel and every machine.
 *
 * Counterpart: kvm_vcpu_stats_desc[] of arch/x86/kvm/x86.c, KVM_GENERIC_VCPU_STATS() of include/linux/kvm_host.h and
 * arch/arm64/kvm/guest.c, and kvm_vm_stats_desc[] there, the cumulative ones: an instant or a peak is no count; and the
 * tracepoints of KVM.
 * The table is append-only: a new line goes to its end, no line is ever moved or taken out.
 */
import { log } from '../log.js'

/** Every known name: that of a statistic is KVM's own, which events/ may call otherwise (see event-names.ts). */
export const knownNames: readonly string[] = [
  // x86; "exits" and "signal_exits" are arm64's too
  'exits',
  'io_exits',
  'mmio_exits',
  'halt_exits',
  'signal_exits',
  'irq_exits',
  'irq_window_exits',
  'nmi_window_exits',
  'request_irq_exits',
  'notify_window_exits',
  'pf_taken',
  'pf_fixed',
  'pf_emulate',
  'pf_spurious',
  'pf_fast',
  'pf_mmio_spte_created',
  'pf_guest',
  'tlb_flush',
  'invlpg',
  'l1d_flush',
  'host_state_reload',
  'fpu_reload',
  'insn_emulation',
  'insn_emulation_fail',
  'hypercalls',
  'irq_injections',
  'nmi_injections',
  'req_event',
  'nested_run',
  'directed_yield_attempted',
  'directed_yield_successful',
  'preemption_reported',
  'preemption_other',
  // every architecture
  'halt_successful_poll',
  'halt_attempted_poll',
  'halt_poll_invalid',
  'halt_wakeup',
  'halt_poll_success_ns',
  'halt_poll_fail_ns',
  'halt_wait_ns',
  // arm64
  'hvc_exit_stat',
  'wfe_exit_stat',
  'wfi_exit_stat',
  'mmio_exit_user',
  'mmio_exit_kernel',
  // of a VM as a whole: KVM_GENERIC_VM_STATS() on every architecture, the others x86's
  'remote_tlb_flush',
  'remote_tlb_flush_requests',
  'mmu_shadow_zapped',
  'mmu_pte_write',
  'mmu_pde_zapped',
  'mmu_flooded',
  'mmu_recycled',
  'mmu_cache_miss',
  // histograms: one id each, the bucket is a term of its own
  'halt_poll_success_hist',
  'halt_poll_fail_hist',
  'halt_wait_hist',
  // tracepoints of kvm, and those of which there is one event for each reason
  'trace_kvm_userspace_exit',
  'kvm_userspace_exit_reason',
  'trace_kvm_exit',
  'kvm_exit_reason',
  'trace_kvm_entry',
  'trace_kvm_mmio',
  'trace_kvm_vcpu_wakeup',
  'trace_kvm_halt_poll_ns',
  'trace_kvm_pio',
  'trace_kvm_msr',
  'trace_kvm_cpuid',
  'trace_kvm_hypercall',
  'trace_kvm_inj_exception',
  'trace_kvm_apic',
  'trace_kvm_apic_ipi',
  'trace_kvm_eoi',
  'trace_kvm_pv_eoi',
  'trace_kvm_pv_tlb_flush',
  'trace_kvm_cr',
  'trace_kvm_page_fault',
  'trace_kvm_fast_mmio',
  'trace_kvm_nested_vmenter',
  'trace_kvm_nested_vmexit',
  'trace_kvm_guest_fault',
  'trace_kvm_sys_access',
  'trace_kvm_mmio_emulate',
  'trace_kvm_set_way_flush',
  'trace_kvm_toggle_cache',
]

/** Names that stand for one count each, for sources whose files do not tell. */
export const knownCounts: ReadonlySet<string> = new Set(knownNames.filter(name => !name.endsWith('_hist')))

/** How many events `config:0-7` can tell apart. */
export const MAX_EVENTS = 256

/** What perf can parse as an event's name, and a file can be called without a suffix of its own. */
const FIT_NAME = /^[a-z_][a-z0-9_]{0,63}$/i

/** The ids of one mount: those of the known names, and behind them those given to names that sources brought. */
export class EventTable {
  readonly #ids = new Map(knownNames.map((name, id) => [name, id]))
  readonly #leftOut = new Set<string>()

  /** The id of a name, or undefined where it has none. */
  id(name: string): number | undefined {
    return this.#ids.get(name)
  }

  /** Gives ids to the names of one batch that have none, in sorted order; those that no id is left for have none. */
  append(names: Iterable<string>): void {
    const fresh = [...new Set(names)].filter(name => !this.#ids.has(name))
    // By code unit, so that no locale has a say in an id.
    for (const name of fresh.sort()) {
      const refusal = this.#refusal(name)
      if (refusal === undefined) this.#ids.set(name, this.#ids.size)
      else this.#leaveOut(name, refusal)
    }
  }

  #refusal(name: string): string | undefined {
    if (!FIT_NAME.test(name)) return 'an event name is made of letters, digits and "_"'
    if (this.#ids.size >= MAX_EVENTS) return `all ${MAX_EVENTS} event ids are taken`
    return undefined
  }

  #leaveOut(name: string, why: string): void {
    if (this.#leftOut.has(name)) return
    this.#leftOut.add(name)
    log.kvm('event %o is left out: %s', name, why)
  }
}
