/** Time as the sources use it; tests turn the clock themselves. */
export interface Timers {
  /** Monotonic milliseconds. */
  now(): number
  /** Runs `action` after so many milliseconds; the returned function withdraws it. */
  after(ms: number, action: () => void): () => void
}

/** The clock of this program. A timer does not keep the program alive. */
export const systemTimers: Timers = {
  now: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms).unref()
    return () => clearTimeout(timer)
  },
}

/** Resolves after so many milliseconds. */
export const sleep = (timers: Timers, ms: number): Promise<void> =>
  new Promise(resolve => {
    timers.after(ms, resolve)
  })
