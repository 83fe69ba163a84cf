/**
 * What tells at once that guests came or went, as whoever touches the machine provides it. Nothing depends on it:
 * what it misses the next look finds.
 */

/** What a watch tells; never within a call of the watch. */
export interface VmWatchHandlers {
  /** The kernel said something of one of its objects; the bytes are valid during the call only. */
  uevent(message: Uint8Array): void
  /** A process that was followed has ended, or uevents were lost. */
  changed(): void
}

/** A watch that is on. */
export interface VmWatch {
  /** The processes that run guests now: their ends are told of, and nobody else's. */
  follow(tgids: ReadonlySet<number>): void
  /** Nothing is told any more. */
  close(): void
}

/** Begins to watch. */
export type WatchVms = (handlers: VmWatchHandlers) => VmWatch
