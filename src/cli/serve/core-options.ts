/** How the core behaves: plain data, which crosses to the Worker. */
export interface CoreOptions {
  /** The user who mounts. */
  readonly owner: { readonly uid: number; readonly gid: number }
  /** Whether others may look: then permission is judged before anything that an answer could give away. */
  readonly allowOther: boolean
  /** The patch's own rules. */
  readonly strict: boolean
  /** Whether the host PMU and the PMU of whole VMs are there. */
  readonly kvm: boolean
  /** How many events may be open. */
  readonly maxHandles: number
}
