/**
 * How fast the demo guest runs when nobody tells it to burst: in rounds, a few exits and then a rest, so that counts
 * move at once for whoever looks and the whole guest takes a few per cent of a CPU (an exit to a VMM in JavaScript
 * takes some 10 us).
 */
import type { Machine } from '../../abi/syscalls.js'
import type { BurstKind } from './protocol.js'

/** What one vCPU does again and again. */
export interface Round {
  readonly bursts: readonly (readonly [kind: BurstKind, count: number])[]
  /** Milliseconds until the next round. */
  readonly rest: number
}

/** What odd vCPUs do twice as much as others, so that two can be told apart by their rates, and what all do alike. */
const pace: Readonly<Record<Machine, { readonly first: BurstKind; readonly others: Round['bursts'] }>> = {
  x86_64: {
    first: 'port',
    others: [
      ['mmio', 8],
      ['halt', 1],
    ],
  },
  aarch64: { first: 'mmio', others: [['halt', 1]] },
}

/** The round of a vCPU. */
export function roundOf(machine: Machine, vcpuId: number): Round {
  const { first, others } = pace[machine]
  return { bursts: [[first, vcpuId % 2 === 0 ? 16 : 32], ...others], rest: 40 }
}
