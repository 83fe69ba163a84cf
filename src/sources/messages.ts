/**
 * What the thread that finds guests and fetches counts (main) tells the thread that serves (core), and what it is
 * asked by it. Plain data: it crosses a MessagePort.
 */
import type { ErrnoName } from '../abi/errno.js'
import type { EventDescription } from '../kvm/vm.js'

/** One vCPU as discovery found it. */
export interface VcpuDescription {
  readonly id: number
  readonly tid: number
  readonly startTime: bigint
  /** This process's own descriptor of the vCPU's KVM statistics (source `stats`); the core closes it. */
  readonly statsFd?: number
}

/** One VM as discovery found it. `key` names it for as long as it lives and is never used again. */
export interface VmDescription {
  readonly key: string
  /** What vms/ calls it, before names that are taken or unfit are replaced by `pid-N`. */
  readonly name?: string
  readonly tgid: number
  readonly startTime: bigint
  readonly isReal: boolean
  /**
   * What gives its vCPUs' statistics; `tracepoint`: nothing does, and only its tracepoints can be counted; `debugfs`: its
   * vCPUs are not counted at all, only the VM as a whole is.
   */
  readonly source: 'stats' | 'qmp' | 'tracepoint' | 'debugfs'
  /** Why its VMM's statistics descriptors are not used, where they were looked for. */
  readonly statsProblem?: string
  readonly vcpus: readonly VcpuDescription[]
  /** Numbers of the vCPUs whose threads cannot be told yet; absent: there are none. */
  readonly pending?: readonly number[]
  /** What can be counted (source `qmp`; `stats` reads it from the descriptors itself). */
  readonly events: readonly EventDescription[]
  /** Where counts of the VM as a whole come from, the best first; absent: from nowhere. */
  readonly whole?: readonly WholeDescription[]
}

/** A source of counts of a whole VM. */
export type WholeDescription =
  /** This process's own descriptor of the VM's KVM statistics; the core closes it. */
  | { readonly source: 'stats'; readonly statsFd: number }
  | { readonly source: 'qmp'; readonly events: readonly EventDescription[] }
  /** The VM's folder in debugfs, as the core can open it, and the counts in it. */
  | { readonly source: 'debugfs'; readonly path: string; readonly events: readonly EventDescription[] }

/** Which counts of a VM: those of its vCPUs, or its own. */
export type CountScope = 'vcpu' | 'vm'

/**
 * Counts of one VM: for each vCPU id, one value for each of the VM's `events` in order; those of the VM as a whole
 * under WHOLE_VM, for each of `whole.events`.
 */
export type VmCounts = ReadonlyMap<number, BigUint64Array>

/** No vCPU has this number. */
export const WHOLE_VM = -1

export type ToCore =
  | { readonly kind: 'vm-added'; readonly vm: VmDescription }
  /** vCPUs came or went, or are run by other threads; descriptors that stay have the numbers they had. */
  | { readonly kind: 'vm-changed'; readonly vm: VmDescription }
  | { readonly kind: 'vm-removed'; readonly key: string }
  /** Answers a `fetch`. */
  | {
      readonly kind: 'fetched'
      readonly ticket: number
      readonly scope: CountScope
      readonly counts: VmCounts
    }
  | {
      readonly kind: 'fetch-failed'
      readonly ticket: number
      readonly code: ErrnoName
      readonly message: string
    }
  /** Answers a `scan`: whatever was found was added before. */
  | { readonly kind: 'scanned'; readonly ticket: number }

export type ToMain =
  /** Take a snapshot of these counts of this VM, from now on. */
  | { readonly kind: 'fetch'; readonly ticket: number; readonly key: string; readonly scope: CountScope }
  /** Look for guests again, now. */
  | { readonly kind: 'scan'; readonly ticket: number }
