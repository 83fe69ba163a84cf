/**
 * Looks that follow the making of a VM. KVM tells of it before the VMM has the descriptor, and the vCPUs and their
 * threads come later: so there are several looks, ever more seldom, until those that happen anyway are as frequent.
 */
import type { Timers } from './timers.js'

const FIRST_PAUSE_MS = 10

export class EagerLooks {
  readonly #timers: Timers
  readonly #look: () => void
  readonly #longestMs: number
  #stopTimer: () => void = () => {}

  /** @param longestMs the pause between the looks that happen anyway */
  constructor(timers: Timers, longestMs: number, look: () => void) {
    this.#timers = timers
    this.#longestMs = longestMs
    this.#look = look
  }

  /** A VM has just been made: begins anew where looks are under way. */
  begin(): void {
    this.#wait(FIRST_PAUSE_MS)
  }

  stop(): void {
    this.#stopTimer()
  }

  #wait(ms: number): void {
    this.#stopTimer()
    if (ms >= this.#longestMs) return
    this.#stopTimer = this.#timers.after(ms, () => {
      this.#look()
      this.#wait(2 * ms)
    })
  }
}
