/**
 * Where the thread that serves sleeps: one poll(2) over the FUSE device, the doorbell and the exits of threads.
 *
 * The order is an invariant. poll(2) looks at its descriptors in order, and anew after each sleep, so with the device
 * first whatever happened before a request was queued is seen together with that request.
 */
import { POLLIN } from '../abi/fs.js'
import { pollfd } from '../abi/poll.js'
import { poll } from './libc.js'

/** What is ready, as one poll(2) over all of them saw it. */
interface Ready {
  readonly request: boolean
  readonly wake: boolean
  readonly tasks: boolean
}

/** The descriptors to wait for. */
interface WaiterOptions {
  /** The FUSE device; an error on it counts as a request, so that whoever reads it learns of the end. */
  readonly device: number
  /** The doorbell (wake.ts). */
  readonly wake: number
  /** The descriptor that tells of exits (tasks.ts), or -1 to wait for none. */
  readonly tasks: number
  /** Milliseconds after which a wait ends as if a thread had exited (LinuxTasks.interval); -1, the default: never. */
  readonly timeout?: number
}

const SLOTS = 3
const NEVER = -1

/** Waits without allocating: the same answer object is filled each time. */
export class PollWaiter {
  readonly #fds = new Uint8Array(SLOTS * pollfd.size)
  readonly #revents: Int16Array
  readonly #timeout: number
  readonly #ready = { request: false, wake: false, tasks: false }

  constructor({ device, wake, tasks, timeout = NEVER }: WaiterOptions) {
    for (const [slot, fd] of [device, wake, tasks].entries())
      pollfd.encode({ fd, events: POLLIN }, this.#fds, slot * pollfd.size)
    this.#revents = new Int16Array(this.#fds.buffer)
    this.#timeout = timeout
  }

  /** Blocks until something is ready, the timeout ends or a signal comes; the answer is valid until the next call. */
  wait(): Ready {
    const count = poll(this.#fds, SLOTS, this.#timeout)
    this.#ready.request = count > 0 && this.#isReady(0)
    this.#ready.wake = count > 0 && this.#isReady(1)
    this.#ready.tasks = count > 0 ? this.#isReady(2) : this.#timeout >= 0
    return this.#ready
  }

  /** poll(2) itself clears revents, but not where it fails. */
  #isReady(slot: number): boolean {
    return this.#revents[(slot * pollfd.size + pollfd.offsets.revents) / Int16Array.BYTES_PER_ELEMENT] !== 0
  }
}
