/**
 * Requests for snapshots of one VM's counts, as the refresher of a source. When the VM goes those who wait go on with
 * the last counts.
 */
import type { Failure } from '../../abi/errno.js'
import type { Refresher } from '../../perf/pmu.js'
import type { CountScope } from '../messages.js'
import type { Tickets } from '../tickets.js'

export class Fetches implements Refresher {
  readonly #key: string
  readonly #scope: CountScope
  readonly #tickets: Tickets
  /** Requests under way, first come first. */
  readonly #waiting = new Map<number, (failure?: Failure) => void>()
  #lastRequest = 0

  constructor(key: string, scope: CountScope, tickets: Tickets) {
    this.#key = key
    this.#scope = scope
    this.#tickets = tickets
  }

  refresh(done: (failure?: Failure) => void): () => void {
    this.#lastRequest += 1
    const request = this.#lastRequest
    const withdraw = this.#tickets.ask(
      ticket => ({ kind: 'fetch', ticket, key: this.#key, scope: this.#scope }),
      failure => this.#settle(request, failure),
    )
    this.#waiting.set(request, done)
    return () => {
      this.#waiting.delete(request)
      withdraw()
    }
  }

  /** The VM is gone. */
  close(): void {
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const done of waiting) done()
  }

  #settle(request: number, failure: Failure | undefined): void {
    const done = this.#waiting.get(request)
    this.#waiting.delete(request)
    done?.(failure)
  }
}
