/** What every transport is asked for and gives. */
import type { ToCore, ToMain } from '../../sources/messages.js'
import type { CoreOptions } from './core-options.js'

/** What is to be served where. */
export interface ServeRequest {
  /** The mountpoint, absolute. */
  readonly dir: string
  readonly options: CoreOptions
  /** What the core is told before it answers the first request. */
  readonly firstMessages: readonly ToCore[]
  /** What the core asks for. */
  readonly onMessage: (message: ToMain) => void
}

/** A mount that is served. */
export interface Served {
  /** Tells the core something. */
  deliver(message: ToCore): void
  /** Settles when the mount is gone, whoever ended it; rejects where a defect of this program did. */
  readonly ended: Promise<void>
  /** Unmounts and settles when nothing of the server is left. */
  stop(): Promise<void>
}
