/** A statistic followed from one value to the next, so that what is added up outlives a reset of it. */
import { wrap64 } from '../abi/struct.js'

const HALF = 1n << 63n

/**
 * What happened between two values of a statistic, in u64 arithmetic.
 *
 * One that went down was reset (writing 0 to its debugfs file does that) and has counted upward from 0 since: the new
 * value is all that is known to have happened. The bare difference, as in the patch, would be a number near 2^64.
 * Only a step across the end of the range that is shorter than half of it is the statistic's own wrap.
 */
export function countBetween(prev_count: bigint, new_count: bigint): bigint {
  const difference = wrap64(new_count - prev_count)
  return difference < HALF ? difference : new_count
}

export class Followed {
  /** What has happened since the first value, u64. */
  total = 0n
  #last: bigint | undefined

  /** @param last where it starts from; undefined: from the first value that is given to follow() */
  constructor(last: bigint | undefined) {
    this.#last = last
  }

  /** Takes its value now; one that could not be read changes nothing. */
  follow(value: bigint | undefined): void {
    if (value === undefined) return
    if (this.#last !== undefined) this.total = wrap64(this.total + countBetween(this.#last, value))
    this.#last = value
  }
}
