/** What a program gives to have guests of its own counted: who they are, and what counts them. */
import type { Failure } from '../../abi/errno.js'
import type { EventDescription } from '../../kvm/vm.js'

/** A vCPU that a program has found. */
export interface OwnVcpu {
  /** KVM's own vCPU number. */
  readonly id: number
  /** The host thread that runs it. */
  readonly tid: number
}

/** A guest that a program has found. It is known by its process and its name for as long as that process lives. */
export interface OwnGuest {
  /** Its folder under vms/, where no other guest has the name. */
  readonly name: string
  /** The VMM's process. */
  readonly pid: number
  readonly vcpus: readonly OwnVcpu[]
  /** False where it is simulated, which `vms/NAME/kind` then says. */
  readonly isReal?: boolean
}

/** Where the counts of one guest come from. Nothing here may block. */
export interface OwnCounts {
  /** Shown as the guest's source: one word. */
  readonly name: string
  /** What can be counted on each vCPU, by KVM's own names where KVM has one. It may grow. */
  readonly events: readonly EventDescription[]
  /**
   * The count's value now, which only grows, also while counting is switched off. Undefined, or a thrown ENOENT or
   * ESRCH: it cannot be read, and who reads gets EIO; the next time that it can be has it all. An event that ends keeps
   * the count that it has.
   */
  get_event_count(vcpu: OwnVcpu, event: string): bigint | undefined
  /** Switches counting on or off, or says why not; left out by a source that always counts. */
  configure_event?(vcpu: OwnVcpu, event: string, enable: boolean): Failure | undefined
  /** The guest is gone: nothing more will be asked. */
  close?(): void
}

/** A source of one's own for the PMU `kvm`: it finds guests and opens their counts. */
export interface GuestSource {
  /**
   * The guests that run now. Asked at the start, then once a second, and whenever a thread is to be counted that no
   * known guest has. It must not block.
   */
  guests(): readonly OwnGuest[]
  /** Called once for each guest that guests() brings, and again for one that went and came back. */
  open(guest: OwnGuest): OwnCounts
}
