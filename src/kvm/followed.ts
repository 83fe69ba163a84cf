/** A statistic followed from one value to the next, so that what is added up outlives a reset of it. */
import { wrap64 } from '../abi/struct.js'
import { countBetween } from '../perf/count-between.js'

export class Followed {
  /** What has happened since the first value, u64. */
  total = 0n
  #last: bigint | undefined

  /** @param last where it starts from; undefined: from the first value that is given to follow() */
  constructor(last: bigint | undefined) {
    this.#last = last
  }

  /** Takes its value now; one that could not be read changes nothing, and the next one has it all. Whether it could. */
  follow(value: bigint | undefined): boolean {
    if (value === undefined) return false
    if (this.#last !== undefined) this.total = wrap64(this.total + countBetween(this.#last, value))
    this.#last = value
    return true
  }
}
