/** What a program that serves a mount says, and what it gets. */
import type { GuestsOptions } from './guests.js'
import type { OwnModule } from './own-modules.js'

/** How guests are counted. */
export interface KvmOptions {
  /** Modules whose default export makes a {@link GuestSource}. */
  readonly sources?: readonly OwnModule[]
  /** Has guests of this machine looked for besides, as `pmufs mount --source` does; left out: they are not. */
  readonly source?: GuestsOptions['source']
  /** QMP sockets of QEMU guests, for the sources `auto` and `qmp`. */
  readonly qmp?: readonly string[]
  /** Milliseconds that a QEMU guest may take to answer; 2000 where not given. */
  readonly fetchTimeout?: number
  /** The patch's own rules: no two events on one count, no thread that runs no vCPU. */
  readonly strict?: boolean
}

/** What is to be mounted where. */
export interface MountOptions {
  /** The mountpoint, an existing folder. */
  readonly dir: string
  /** Modules whose default export makes a {@link Pmu}, or several in a list. */
  readonly pmus?: readonly OwnModule[]
  /** The PMUs `kvm` and `kvm_vm`; they are left out where this is left out. */
  readonly kvm?: boolean | KvmOptions
  /** Lets other users read sys/ and vms/. */
  readonly allowOther?: boolean
  /** How many events may be open at once; 65536 where not given. */
  readonly maxHandles?: number
  /** Is told of defects, such as a callback that threw: one message each, with the stack. stderr where not given. */
  readonly onReport?: (message: string) => void
}

/** A mount that is served. */
export interface Mounted {
  /** The mountpoint, absolute. */
  readonly dir: string
  /** Settles when the mount is gone, whoever ended it; rejects where a defect of the server did. */
  readonly ended: Promise<void>
  /**
   * Unmounts, whoever uses the mount, and settles when nothing of the server is left.
   *
   * @throws {ErrnoError} ETIMEDOUT when a callback blocks the thread that serves
   */
  unmount(): Promise<void>
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}
