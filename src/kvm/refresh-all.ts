/** Several refreshers as one: done when all are, in order for each who asks, since each of them keeps that order. */
import type { Failure } from '../abi/errno.js'
import type { Refresher } from '../perf/pmu.js'

/** One refresher for all of these, or undefined where there are none. */
export function refreshAll(refreshers: Iterable<Refresher | undefined>): Refresher | undefined {
  const all = [...new Set(refreshers)].filter(each => each !== undefined)
  if (all.length < 2) return all[0]
  return { refresh: done => ask(all, done) }
}

function ask(all: readonly Refresher[], done: (failure?: Failure) => void): () => void {
  let left = all.length
  let first: Failure | undefined
  const withdrawals = all.map(each =>
    each.refresh(failure => {
      first ??= failure
      left -= 1
      if (left === 0) done(first)
    }),
  )
  return () => {
    for (const withdraw of withdrawals) withdraw()
  }
}
