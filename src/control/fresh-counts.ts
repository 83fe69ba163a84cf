/**
 * Waits until the counts that an operation uses are fresh, then runs it.
 *
 * Where a PMU has its counts at hand the operation runs at once. Else it is parked, in order with everything else
 * that waits on the same refresher: so requests on one event keep their order, and nobody else waits.
 */
import { ErrnoError, type Failure } from '../abi/errno.js'
import { Later, type MaybeLater } from '../kernfs/later.js'
import { groupOf, type PerfEvent } from '../perf/event.js'
import type { Refresher, RefreshTarget } from '../perf/pmu.js'

/** What a refresh that failed means: `required` gives its errno, `preferred` goes on with the last counts. */
export type Freshness = 'required' | 'preferred'

function refresh(refresher: Refresher, freshness: Freshness): Later<void> {
  const later = new Later<void>(() => withdraw())
  const withdraw = refresher.refresh((failure?: Failure) => {
    if (failure && freshness === 'required') later.reject(new ErrnoError(failure.code, failure.message))
    else later.resolve()
  })
  return later
}

/** Runs `run` once all these refreshers have given fresh counts, one after the other. */
function afterAll<T>(refreshers: readonly Refresher[], freshness: Freshness, run: () => T): MaybeLater<T> {
  const [first, ...rest] = refreshers
  if (!first) return run()
  return refresh(first, freshness).map(() => afterAll(rest, freshness, run))
}

/** Runs `run` when the counts of this event and of its whole group are fresh. */
export function withFreshCounts<T>(event: PerfEvent, freshness: Freshness, run: () => T): MaybeLater<T> {
  const refreshers = new Set<Refresher>()
  for (const member of groupOf(event)) {
    const refresher = member.pmu.eventRefresher?.(member)
    if (refresher) refreshers.add(refresher)
  }
  return afterAll([...refreshers], freshness, run)
}

/** Runs `open` when what an event on this target needs is there: the thread was looked for, its counts are fresh. */
export function withFreshTarget<T>(
  refresherOf: (target: RefreshTarget) => Refresher | undefined,
  target: RefreshTarget,
  open: () => T,
): MaybeLater<T> {
  const refresher = refresherOf(target)
  if (!refresher) return open()
  return refresh(refresher, 'required').map(() => withFreshTarget(refresherOf, target, open))
}
