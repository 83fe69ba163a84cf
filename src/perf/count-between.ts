/** How much a statistic has grown from one look at it to the next. */
import { wrap64 } from '../abi/struct.js'

const HALF = 1n << 63n

/**
 * What happened between two values of a statistic, in u64 arithmetic.
 *
 * One that went down was reset (writing 0 to the debugfs file of one of KVM's does that) and has counted upward from 0
 * since: the new value is all that is known to have happened. The bare difference, as in the patch, would be a number
 * near 2^64. Only a step across the end of the range that is shorter than half of it is the statistic's own wrap.
 */
export function countBetween(prev_count: bigint, new_count: bigint): bigint {
  const difference = wrap64(new_count - prev_count)
  return difference < HALF ? difference : new_count
}
