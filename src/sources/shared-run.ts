/**
 * Runs one thing for all who ask for it: one run at a time, and whoever asks gets a run that began after he asked.
 * So those who ask while a run is under way share the next one.
 */
import { ErrnoError, type ErrnoName, errnoOf, Failure } from '../abi/errno.js'
import type { Timers } from './timers.js'

interface Waiter<T> {
  done: (result: T | Failure) => void
  /** Stops the waiter's clock. */
  stop: () => void
}

/** How long each waits, and what it gets then. */
export interface Patience {
  readonly timers: Timers
  readonly ms: number
  readonly message: string
}

const failureOf = (error: unknown): Failure => {
  const code: ErrnoName = errnoOf(error)
  return error instanceof Error ? new Failure(code, error.message) : new Failure(code)
}

export class SharedRun<T> {
  readonly #run: () => Promise<T>
  readonly #patience: Patience | undefined
  #next: Waiter<T>[] = []
  #served: Waiter<T>[] | undefined

  /** @param patience without it whoever asks waits for as long as a run takes */
  constructor(run: () => Promise<T>, patience?: Patience) {
    this.#run = run
    this.#patience = patience
  }

  /** Asks for a run; `done` is called later, never within this call, in the order of the calls. */
  request(done: (result: T | Failure) => void): void {
    const waiter: Waiter<T> = { done, stop: () => {} }
    if (this.#patience) {
      const { timers, ms } = this.#patience
      waiter.stop = timers.after(ms, () => this.#expire(waiter))
    }
    this.#next.push(waiter)
    this.#begin()
  }

  /** Forgets all who wait: they hear nothing more. */
  close(): void {
    for (const waiter of [...(this.#served ?? []), ...this.#next]) waiter.stop()
    this.#next = []
    if (this.#served) this.#served = []
  }

  #begin(): void {
    if (this.#served || this.#next.length === 0) return
    this.#served = this.#next
    this.#next = []
    this.#run().then(
      value => this.#end(value),
      error => this.#end(failureOf(error)),
    )
  }

  #end(result: T | Failure): void {
    const served = this.#served ?? []
    this.#served = undefined
    for (const waiter of served) {
      waiter.stop()
      waiter.done(result)
    }
    this.#begin()
  }

  #expire(waiter: Waiter<T>): void {
    this.#next = this.#next.filter(other => other !== waiter)
    if (this.#served) this.#served = this.#served.filter(other => other !== waiter)
    waiter.done(new Failure('ETIMEDOUT', this.#patience?.message))
  }
}

/** A run as a promise; a Failure rejects. */
export const runOf = <T>(shared: SharedRun<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    shared.request(result =>
      result instanceof Failure ? reject(new ErrnoError(result.code, result.message)) : resolve(result),
    )
  })
