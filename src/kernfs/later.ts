/**
 * A result that comes later, without the event loop: the thread that serves is blocked in poll(2) and never
 * returns to it, so that no Promise would ever settle there. Callbacks run in the settling call.
 */

type Settled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown }

/** A value that an operation gives at once, or later. */
export type MaybeLater<T> = T | Later<T>

/** One pending result with one consumer. */
export class Later<T> {
  #settled: Settled<T> | undefined
  #consumer: ((settled: Settled<T>) => void) | undefined
  #cancel: ((error: unknown) => void) | undefined

  /** @param cancel called when the consumer gives up (an interrupted request) before the result came, and why */
  constructor(cancel?: (error: unknown) => void) {
    this.#cancel = cancel
  }

  resolve(value: T): void {
    this.#settle({ ok: true, value })
  }

  reject(error: unknown): void {
    this.#settle({ ok: false, error })
  }

  /** Gives up: the consumer gets `error` now, and whoever would settle it is told. */
  cancel(error: unknown): void {
    if (this.#settled) return
    this.#cancel?.(error)
    this.reject(error)
  }

  /** Hands the result over, at once where it is there already. */
  done(onValue: (value: T) => void, onError: (error: unknown) => void): void {
    this.#consumer = settled => (settled.ok ? onValue(settled.value) : onError(settled.error))
    if (this.#settled) this.#consumer(this.#settled)
  }

  /** The result of `next` on this result; what `next` throws rejects. Cancelling it cancels this one. */
  map<U>(next: (value: T) => MaybeLater<U>): Later<U> {
    let cancelPending = (error: unknown) => this.cancel(error)
    const outer = new Later<U>(error => cancelPending(error))
    const fail = (error: unknown) => outer.reject(error)
    this.done(value => {
      let result: MaybeLater<U>
      try {
        result = next(value)
      } catch (error) {
        return fail(error)
      }
      if (!(result instanceof Later)) return outer.resolve(result)
      const pending = result
      cancelPending = error => pending.cancel(error)
      pending.done(settled => outer.resolve(settled), fail)
    }, fail)
    return outer
  }

  /** The result itself, or that of `handle` where this one rejects; what `handle` throws rejects. */
  recover(handle: (error: unknown) => T): Later<T> {
    const outer = new Later<T>(error => this.cancel(error))
    this.done(
      value => outer.resolve(value),
      error => {
        let value: T
        try {
          value = handle(error)
        } catch (thrown) {
          return outer.reject(thrown)
        }
        outer.resolve(value)
      },
    )
    return outer
  }

  #settle(settled: Settled<T>): void {
    if (this.#settled) return
    this.#settled = settled
    this.#consumer?.(settled)
  }
}

/** Runs `next` on a value that is there, or on one that comes later. */
export const chain = <T, U>(value: MaybeLater<T>, next: (value: T) => MaybeLater<U>): MaybeLater<U> =>
  value instanceof Later ? value.map(next) : next(value)
