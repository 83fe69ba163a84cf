/**
 * What the thread that serves waits for from the main thread: tickets for requests under way. `done` of each is
 * called when its answer comes, and never within the call that asked.
 */
import type { Failure } from '../abi/errno.js'
import type { ToMain } from './messages.js'

export class Tickets {
  readonly #post: (message: ToMain) => void
  readonly #waiting = new Map<number, (failure?: Failure) => void>()
  #last = 0

  constructor(post: (message: ToMain) => void) {
    this.#post = post
  }

  /** Sends what `request` makes of a fresh ticket; the returned function withdraws it. */
  ask(request: (ticket: number) => ToMain, done: (failure?: Failure) => void): () => void {
    this.#last += 1
    const ticket = this.#last
    this.#waiting.set(ticket, done)
    this.#post(request(ticket))
    return () => this.#waiting.delete(ticket)
  }

  /** Answers a ticket; one that was withdrawn is passed over. */
  answer(ticket: number, failure?: Failure): void {
    const done = this.#waiting.get(ticket)
    this.#waiting.delete(ticket)
    done?.(failure)
  }
}
