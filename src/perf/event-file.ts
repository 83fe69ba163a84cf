/**
 * What an event's descriptor does, in one place for those who serve descriptors. Counterpart: perf_fops in
 * kernel/events/core.c.
 */
import { POLLERR, POLLHUP } from '../abi/fs.js'
import { PERF_EVENT_STATE_DEAD, PERF_EVENT_STATE_ERROR, PERF_EVENT_STATE_REVOKED } from '../abi/perf-event.js'
import type { PerfEvent } from './event.js'
import { closeEvent, settle } from './lifecycle.js'

export { perf_ioctl } from './ioctl.js'
export { perf_event_read_value, perf_read } from './read.js'

/**
 * The poll(2) bits that hold now. Without a mapped buffer, which no event has here, that is POLLHUP from the start.
 *
 * @param wake called once when the answer may have changed: at the thread's end, an error, an unregistered PMU
 */
export function perf_poll(event: PerfEvent, wake?: () => void): number {
  settle(event)
  if (event.state <= PERF_EVENT_STATE_REVOKED) return POLLERR
  if (wake) event.waiters.add(wake)
  return event.state === PERF_EVENT_STATE_ERROR && event.attr.pinned ? POLLERR : POLLHUP
}

/** The last descriptor was closed: the event ends. A leader's siblings become events of their own. */
export function perf_release(event: PerfEvent): void {
  settle(event)
  if (event.state !== PERF_EVENT_STATE_DEAD) closeEvent(event)
}
