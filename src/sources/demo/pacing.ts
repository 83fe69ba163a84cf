/**
 * How fast the demo guest runs when nobody tells it to burst: in rounds, a few exits and then a rest, so that counts
 * move at once for whoever looks and the whole guest takes a few per cent of a CPU (an exit to a VMM in JavaScript
 * takes some 10 us).
 */
import type { BurstKind } from './protocol.js'

/** What one vCPU does again and again. */
export interface Round {
  readonly bursts: readonly (readonly [kind: BurstKind, count: number])[]
  /** Milliseconds until the next round. */
  readonly rest: number
}

/** The round of a vCPU: odd ones write twice as much to ports, so that two vCPUs can be told apart by their rates. */
export const roundOf = (vcpuId: number): Round => ({
  bursts: [
    ['port', vcpuId % 2 === 0 ? 16 : 32],
    ['mmio', 8],
    ['halt', 1],
  ],
  rest: 40,
})
