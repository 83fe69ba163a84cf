/** What every transport is asked for and gives. */
import type { ToMain } from '../sources/messages.js'
import type { CoreOptions, ToServer } from './core-options.js'
import type { OwnModules } from './own-modules.js'

/** What is to be served where. */
export interface ServeRequest {
  /** The mountpoint, absolute. */
  readonly dir: string
  readonly options: CoreOptions
  /** What the program brings; nothing where it is left out. The libfuse transport takes none. */
  readonly own?: OwnModules
  /** What the core is told before it answers the first request. */
  readonly firstMessages: readonly ToServer[]
  /** What the core asks for. */
  readonly onMessage: (message: ToMain) => void
  /** Is told of defects: one message each. */
  readonly onReport: (message: string) => void
}

/** A mount that is served. */
export interface Served {
  /** Tells the core something. */
  deliver(message: ToServer): void
  /** Settles when the mount is gone, whoever ended it; rejects where a defect of this program did. */
  readonly ended: Promise<void>
  /**
   * Unmounts and settles when nothing of the server is left.
   *
   * @throws {ErrnoError} ETIMEDOUT when the thread that serves does not end
   */
  stop(): Promise<void>
}
