/** A refresher that completes when it is told to, for tests. */
import type { Failure } from '../../abi/errno.js'
import type { Refresher } from '../../perf/pmu.js'

export class FakeRefresher implements Refresher {
  readonly #waiting: ((failure?: Failure) => void)[] = []
  /** How often a refresh was asked for. */
  requests = 0
  /** What is to happen before those who wait are told: a thread is found, a count moves on. */
  onComplete: (() => void) | undefined

  refresh(done: (failure?: Failure) => void): () => void {
    this.requests += 1
    this.#waiting.push(done)
    return () => {
      const at = this.#waiting.indexOf(done)
      if (at >= 0) this.#waiting.splice(at, 1)
    }
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Tells all who wait, in order. */
  complete(failure?: Failure): void {
    this.onComplete?.()
    for (const done of this.#waiting.splice(0)) done(failure)
  }
}
