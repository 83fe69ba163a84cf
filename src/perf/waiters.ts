/** Who sleeps in poll(2) on an event. Counterpart: perf_event_wakeup(). */
import type { PerfEvent } from './event.js'

/** Wakes everybody once: what poll(2) would answer has changed. */
export function wakeWaiters(event: PerfEvent): void {
  const waiters = [...event.waiters]
  event.waiters.clear()
  for (const wake of waiters) wake()
}
