/**
 * The events that are open through this mount, each with its references: the descriptors and the handle that name it.
 * An event ends with its last reference, as a kernel event does with its last descriptor.
 */
import { Failure } from '../abi/errno.js'
import type { PerfEvent } from '../perf/event.js'
import { perf_release } from '../perf/event-file.js'

/** The thread that has opened an event, told from a later one of its id by when it began. */
export interface Owner {
  readonly tid: number
  readonly startTime: bigint | undefined
}

/** An open event and who holds it. */
export class OpenEvent {
  readonly event: PerfEvent
  /** Who has opened it, whoever else holds it now. Counterpart: perf_event.owner. */
  readonly owner: Owner
  /** The inode numbers that its descriptors have. */
  readonly inodes = new Set<bigint>()
  readonly #onEnd: () => void
  #references = 1

  constructor(event: PerfEvent, owner: Owner, onEnd: () => void) {
    this.event = event
    this.owner = owner
    this.#onEnd = onEnd
  }

  hold(): this {
    this.#references += 1
    return this
  }

  /** Gives one reference back; the last one ends the event. */
  drop(): void {
    this.#references -= 1
    if (this.#references > 0) return
    perf_release(this.event)
    this.#onEnd()
  }
}

/** All open events, at most `limit` of them at a time. */
export class EventTable {
  readonly #limit: number
  readonly #byInode = new Map<bigint, OpenEvent>()
  readonly #all = new Set<OpenEvent>()

  constructor(limit: number) {
    this.#limit = limit
  }

  /** How many events are open. */
  get size(): number {
    return this.#all.size
  }

  /** Whether one more may be opened: EMFILE, as where a process has no descriptor left. */
  reserve(): Failure | undefined {
    if (this.size < this.#limit) return undefined
    return new Failure(
      'EMFILE',
      `${this.#limit} events are open, which is the limit: close some, or mount with a larger --max-handles`,
    )
  }

  /** Takes a new event in, with one reference held for whoever asked for it. */
  add(event: PerfEvent, owner: Owner): OpenEvent {
    const open: OpenEvent = new OpenEvent(event, owner, () => {
      this.#all.delete(open)
      for (const ino of open.inodes) this.#byInode.delete(ino)
    })
    this.#all.add(open)
    return open
  }

  /** The events that a thread has opened, in that order. */
  ownedBy({ tid, startTime }: Owner): OpenEvent[] {
    return [...this.#all].filter(({ owner }) => owner.tid === tid && owner.startTime === startTime)
  }

  /** Makes an event known, while it lives, by the inode number that fstat(2) gives for its descriptors. */
  bind(ino: bigint, open: OpenEvent): void {
    open.inodes.add(ino)
    this.#byInode.set(ino, open)
  }

  byInode(ino: bigint): OpenEvent | undefined {
    return this.#byInode.get(ino)
  }
}
