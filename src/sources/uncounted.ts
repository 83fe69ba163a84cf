/** VMs that were found and cannot be counted, and what would mend it, for `pmufs vms`. */

/** Why something cannot be counted. */
export interface Problem {
  /** A clause without a final period: `it runs under TCG, not under KVM`. */
  readonly reason: string
  /** What to do about it, in the imperative. */
  readonly remedy: string
}

/** A VM, or a QMP socket, that gives no counts, or not all. */
export interface Uncounted extends Problem {
  /** The VMM's process, where it is known. */
  readonly tgid?: number
  readonly name?: string
  /** The QMP socket that was tried. */
  readonly socket?: string
  /** The vCPUs concerned, where others of the VM are counted. */
  readonly vcpus?: readonly number[]
}
