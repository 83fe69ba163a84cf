/** A clock that stands still until it is told to go on. */
import type { Timers } from '../../../src/sources/timers.js'

interface Alarm {
  readonly at: number
  readonly action: () => void
}

export class FakeTimers implements Timers {
  #now = 0
  #alarms: Alarm[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, action: () => void): () => void {
    const alarm = { at: this.#now + ms, action }
    this.#alarms.push(alarm)
    return () => {
      this.#alarms = this.#alarms.filter(other => other !== alarm)
    }
  }

  get pending(): number {
    return this.#alarms.length
  }

  /** Lets so many milliseconds pass; alarms go off in order, and promises settle between them. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (;;) {
      const next = this.#alarms.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#now = Math.max(this.#now, next.at)
      this.#alarms = this.#alarms.filter(other => other !== next)
      next.action()
      await settle()
    }
    this.#now = end
  }
}

/** Lets every promise that can settle do so. */
export const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
