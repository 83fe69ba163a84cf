/**
 * What queries do to a guest, learned from those that readers ask for, and from no other.
 *
 * A query interrupts every vCPU, which adds to the counts that it is asked for. How much one grew from a query to the
 * next is what one query adds, and what the guest did by itself in between. The median over the last queries is thus
 * the most that a query adds; it is near the truth where the guest is quiet or the queries are close together.
 */
import { wrap64 } from '../../abi/struct.js'
import type { Disturbance, EventDescription } from '../../kvm/vm.js'
import type { VmCounts } from '../messages.js'

/** How many queries are looked back on. */
const KEPT = 32
/** More than any count grows in between: it was reset. */
const RESET = 1n << 63n

const median = (sorted: readonly bigint[]): bigint => sorted[(sorted.length - 1) >> 1] ?? 0n

/** By how much each count grew on the vCPU where it grew most; undefined where one was reset. */
function growth(before: VmCounts, after: VmCounts, columns: number): bigint[] | undefined {
  const most = Array.from({ length: columns }, () => 0n)
  for (const [vcpu, counts] of after) {
    const old = before.get(vcpu)
    if (!old) continue
    for (const column of most.keys()) {
      const grown = wrap64((counts[column] ?? 0n) - (old[column] ?? 0n))
      if (grown >= RESET) return undefined
      if (grown > (most[column] ?? 0n)) most[column] = grown
    }
  }
  return most
}

export class DisturbanceMeter {
  readonly #events: readonly EventDescription[]
  readonly #grown: (readonly bigint[])[] = []
  #last: VmCounts | undefined

  constructor(events: readonly EventDescription[]) {
    this.#events = events
  }

  /** Takes in the counts of a query. */
  take(counts: VmCounts): void {
    const grown = this.#last && growth(this.#last, counts, this.#events.length)
    this.#last = counts
    // A guest that is paused is not interrupted, and says nothing of what a query does to one that runs.
    if (!grown?.some(count => count > 0n)) return
    this.#grown.push(grown)
    if (this.#grown.length > KEPT) this.#grown.shift()
  }

  /** What is known now; undefined before the second query of a guest that runs. Times are no events that happen to it. */
  get disturbance(): Disturbance | undefined {
    if (this.#grown.length === 0) return undefined
    const adds = new Map<string, bigint>()
    for (const [column, { name, unit }] of this.#events.entries()) {
      const grown = this.#grown.map(each => each[column] ?? 0n).sort((a, b) => (a < b ? -1 : 1))
      if (unit === undefined && median(grown) > 0n) adds.set(name, median(grown))
    }
    return { reads: this.#grown.length, adds }
  }
}
