/** How the core behaves and what it is told: plain data, which crosses to the Worker. */
import type { ToCore } from '../sources/messages.js'
import type { TracepointCatalogue } from '../sources/tracepoint/catalogue.js'

/** What the command line and the machine decide. */
export interface CoreOptions {
  /** The user who mounts. */
  readonly owner: { readonly uid: number; readonly gid: number }
  /** Whether others may look: then permission is judged before anything that an answer could give away. */
  readonly allowOther: boolean
  /** The patch's own rules. */
  readonly strict: boolean
  /** Whether the host PMU and the PMU of whole VMs are there. */
  readonly kvm: boolean
  /** What tracepoints can count; absent: they are not to be used. */
  readonly tracepoints?: TracepointCatalogue | undefined
  /** How many events may be open. */
  readonly maxHandles: number
}

/** What the core is told: of guests, and to ask the program's own sources who runs now. */
export type ToServer = ToCore | { readonly kind: 'look' }
