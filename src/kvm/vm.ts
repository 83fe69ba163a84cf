/**
 * VMs and vCPUs as the host PMU sees them, and what it asks of a source of counts.
 * Counterpart: struct kvm and struct kvm_vcpu, as far as the patch uses them.
 */
import type { Failure } from '../abi/errno.js'
import type { Refresher, TimesOnCpu } from '../perf/pmu.js'

/** A vCPU. Its thread is known by id and start time together: ids are used again. */
export interface Vcpu {
  readonly vm: Vm
  /** KVM's own vCPU number. */
  readonly id: number
  /** The host thread that runs it. */
  readonly tid: number
  /** proc_pid_stat(5) field 22 of that thread, in clock ticks. */
  readonly startTime: bigint
}

export interface Vm {
  /** What it calls itself; VmList.nameOf() gives its folder under vms/, where that is unfit or taken. */
  readonly name: string
  /** The VMM's process. */
  readonly tgid: number
  /** proc_pid_stat(5) field 22 of the process's main thread. */
  readonly startTime: bigint
  /** False for the simulated guest. */
  readonly isReal: boolean
  readonly vcpus: readonly Vcpu[]
  /** Numbers of further vCPUs that are there and whose threads cannot be told yet; absent: there are none. */
  readonly pending?: readonly number[]
  readonly source: CountSource
  /** Where statistics of the VM as a whole come from, where anything gives them. */
  readonly whole?: WholeSource | undefined
}

/** A kind of count that a source can give. */
export interface EventDescription {
  /** KVM's own name: `exits`. */
  readonly name: string
  /** What a count of one means, for `events/NAME.unit`. */
  readonly unit?: string
  /** A decimal factor, for `events/NAME.scale`. */
  readonly scale?: string
  /** It is one reason of several: it shares the id of the event `of`, and `reason` tells it from the others. */
  readonly reason?: { readonly of: string; readonly value: number }
}

/** A histogram: as many counts as it has buckets, each a statistic of its own, asked for as `halt_wait_hist[3]`. */
export interface HistogramDescription {
  /** KVM's own name: `halt_wait_hist`. */
  readonly name: string
  readonly buckets: number
}

/** What reading counts does to the guest, as far as it was measured. */
export interface Disturbance {
  /** Over how many reads. */
  readonly reads: number
  /** By how much one read adds to a count of a vCPU, at most; those that it does not add to are left out. */
  readonly adds: ReadonlyMap<string, bigint>
}

/** An event of vCPUs, counted while their threads are on one CPU: as CountSource has it. */
export interface CpuCount {
  get_event_count(vcpu: Vcpu): bigint | undefined
  configure_event(vcpu: Vcpu, enable: boolean): Failure | undefined
  /** Nanoseconds for which it was switched on while the thread ran, and on that CPU. */
  timesOnCpu(vcpu: Vcpu): TimesOnCpu
}

/** Where the counts of one VM come from. */
export interface CountSource {
  /** `stats`, `qmp` ...: as --source names it. */
  readonly name: string
  /** What it can count on a vCPU of this VM. */
  readonly events: readonly EventDescription[]
  /** Its histograms, where it has any. */
  readonly histograms?: readonly HistogramDescription[]
  /**
   * The statistic's value now (or in the last snapshot, where there is a refresher); undefined: it cannot be read, and
   * whoever asks gets EIO. Where the VM has ended, or counting was switched off, the last value stays.
   */
  get_event_count(vcpu: Vcpu, event: string): bigint | undefined
  /** The same of one CPU alone, where it can tell; absent, or undefined: it cannot. */
  onCpu?(vcpu: Vcpu, event: string, cpu: number): CpuCount | undefined
  /** Switches counting on or off for this vCPU, or says why not; a source that always counts does nothing. */
  configure_event(vcpu: Vcpu, event: string, enable: boolean): Failure | undefined
  /** Present where counts must be fetched before get_event_count is current. */
  readonly refresher?: Refresher | undefined
  /** Whether it counts this event of this very vCPU and can read it now; absent: it counts all its events of every vCPU. */
  canCount?(vcpu: Vcpu, event: string): boolean
  /** Why it cannot count what it should: what, why, what to do. */
  readonly problem?: string | undefined
  /** What a read of it adds to the counts; absent: nothing, or nothing is known yet. */
  readonly disturbance?: Disturbance | undefined
  /** The sources it is put together from, the best first; absent: it is one. */
  readonly parts?: readonly CountSource[]
  /** The part that counts this event of this vCPU; undefined: none does. Present where there are parts. */
  partFor?(vcpu: Vcpu, event: string): CountSource | undefined
  /** The VM is gone: nothing more will be asked. */
  close(): void
}

/** Where the counts of a VM as a whole come from: those that KVM keeps for no single vCPU, and maybe sums. */
export interface WholeSource {
  /** `stats`, `qmp`, `debugfs`. */
  readonly name: string
  readonly events: readonly EventDescription[]
  /** As CountSource.get_event_count(), of the VM. */
  get_event_count(event: string): bigint | undefined
  readonly refresher?: Refresher | undefined
  /** The sources it is put together from, the best first; absent: it is one. */
  readonly parts?: readonly WholeSource[]
  close(): void
}
