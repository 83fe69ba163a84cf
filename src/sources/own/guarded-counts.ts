/**
 * A program's counts as the host PMU may call them: what throws there is told and becomes an errno or a count that
 * cannot be read, so that no fault of a source ends the thread that serves.
 */
import { errnoOf, Failure } from '../../abi/errno.js'
import { wrap64 } from '../../abi/struct.js'
import type { CountSource, EventDescription, Vcpu } from '../../kvm/vm.js'
import type { OwnCounts } from './guest-source.js'

/** Is told what threw, and where. */
export type Report = (what: string, error: unknown) => void

/** Runs a callback that may throw: what it gives, or `otherwise`. */
export function guarded<T>(report: Report, what: string, call: () => T, otherwise: T): T {
  try {
    return call()
  } catch (error) {
    report(what, error)
    return otherwise
  }
}

const FIT_NAME = /^[^\s,]+$/

/** What is read, or undefined where it is gone. */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

/** One guest's counts. */
export class GuardedCounts implements CountSource {
  readonly name: string
  readonly #counts: OwnCounts
  readonly #report: Report
  #events: readonly EventDescription[] = []

  /** @throws {TypeError} when its name is not one word */
  constructor(counts: OwnCounts, report: Report) {
    this.name = counts.name
    if (typeof this.name !== 'string' || !FIT_NAME.test(this.name))
      throw new TypeError(`A source's name is one word: ${JSON.stringify(this.name)} is not`)
    this.#counts = counts
    this.#report = (what, error) => report(`source "${this.name}": ${what}`, error)
  }

  get events(): readonly EventDescription[] {
    this.#events = this.#try('events', () => [...this.#counts.events], this.#events)
    return this.#events
  }

  get_event_count(vcpu: Vcpu, event: string): bigint | undefined {
    const read = (): bigint | undefined => {
      const count: unknown = this.#counts.get_event_count(vcpu, event)
      if (typeof count === 'bigint') return wrap64(count)
      if (count === undefined) return undefined
      throw new TypeError(`event "${event}" has the count ${JSON.stringify(count)}: a bigint is wanted`)
    }
    return this.#try('get_event_count', () => unlessGone(read), undefined)
  }

  configure_event(vcpu: Vcpu, event: string, enable: boolean): Failure | undefined {
    const broken = new Failure('EIO', `source "${this.name}" failed in configure_event`)
    return this.#try('configure_event', () => this.#counts.configure_event?.(vcpu, event, enable), broken)
  }

  close(): void {
    this.#try('close', () => this.#counts.close?.(), undefined)
  }

  #try<T>(what: string, call: () => T, otherwise: T): T {
    return guarded(this.#report, what, call, otherwise)
  }
}
