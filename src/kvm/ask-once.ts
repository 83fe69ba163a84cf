/**
 * Names each refresher once for one open, so that the asking ends whatever a refresh found: a thread that a scan did
 * not find is no vCPU.
 */
import type { Refresher, RefreshTarget } from '../perf/pmu.js'

export class AskOnce {
  readonly #asked = new WeakMap<RefreshTarget, Set<Refresher>>()

  /** The first of these that was not named for this open yet. */
  next(target: RefreshTarget, refreshers: Iterable<Refresher | undefined>): Refresher | undefined {
    const asked = this.#asked.get(target) ?? new Set()
    for (const refresher of refreshers) {
      if (!refresher || asked.has(refresher)) continue
      this.#asked.set(target, asked.add(refresher))
      return refresher
    }
    return undefined
  }
}
