/**
 * Switches every event that a thread has opened, each by itself. Counterpart: kernel/events/core.c,
 * perf_event_task_enable() and perf_event_task_disable(), which prctl(2) calls.
 */
import type { Caller } from '../abi/caller.js'
import { PERF_EVENT_IOC_DISABLE, PERF_EVENT_IOC_ENABLE, PERF_EVENT_STATE_REVOKED } from '../abi/perf-event.js'
import { chain, type MaybeLater } from '../kernfs/later.js'
import { perf_ioctl } from '../perf/event-file.js'
import type { OpenEvent } from './event-table.js'
import { withFreshCounts } from './fresh-counts.js'
import type { Opener } from './opener.js'
import type { PrctlRequest } from './request.js'

const nothing = new Uint8Array(0)

/** One after the other: they may wait on the same refresher. The call cannot fail, so that stale counts do. */
function switchEach(events: readonly OpenEvent[], cmd: number): MaybeLater<void> {
  const [first, ...rest] = events
  if (!first) return undefined
  const { event } = first
  const switched = withFreshCounts(event, 'preferred', () => {
    if (event.state > PERF_EVENT_STATE_REVOKED) perf_ioctl(event, { cmd, arg: 0n, input: nothing })
  })
  return chain(switched, () => switchEach(rest, cmd))
}

/** Does what a thread's prctl(2) does to the events that it has opened. */
export function switchOwned(
  opener: Opener,
  { callerTid, isEnable }: PrctlRequest,
  requester: Caller,
): MaybeLater<void> {
  const caller = opener.callerOf(callerTid, requester)
  return switchEach(opener.ownedBy(caller), isEnable ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE)
}
