/**
 * What the demo guest runs: for each kind of event one page of memory filled with the one instruction that makes it,
 * in real mode, with paging and interrupts off.
 *
 * Every instruction leaves the guest, so the VMM counts exits and stops after the last: a burst of N is exactly N
 * instructions. No jump leads back to a page's start, since a KVM that emulates real mode (KVM_PVM does) would
 * count the jumps as emulated too; the VMM sets RIP anew for each page.
 */
import type { ExitName } from '../../abi/kvm.js'
import { type BurstKind, burstKinds } from './protocol.js'

const PAGE_SIZE = 4096

/** One kind of instruction of the guest, and how the guest leaves by it. */
export interface Sled {
  readonly instruction: readonly number[]
  readonly exit: ExitName
}

/** The instruction of each kind; a page is a whole number of each. */
export const sleds: Readonly<Record<BurstKind, Sled>> = {
  // out %al,(%dx)
  port: { instruction: [0xee], exit: 'KVM_EXIT_IO' },
  // mov %al,(%bx): DS lies where no memory is
  mmio: { instruction: [0x88, 0x07], exit: 'KVM_EXIT_MMIO' },
  // hlt: without an interrupt controller in the kernel the VMM is told
  halt: { instruction: [0xf4], exit: 'KVM_EXIT_HLT' },
}

/** How many bytes of memory the guest has, from address 0. */
export const guestMemorySize = burstKinds.length * PAGE_SIZE

/** The base of DS: an address that real mode reaches and no memory backs. */
export const mmioBase = 0x10000

/** The port that is written: no device is behind it, as behind no port of this guest. */
export const port = 0x10

/** Fills the guest's memory. */
export function writeProgram(memory: Uint8Array): void {
  burstKinds.forEach((kind, page) => {
    const { instruction } = sleds[kind]
    for (let at = 0; at < PAGE_SIZE; at++)
      memory[page * PAGE_SIZE + at] = instruction[at % instruction.length] ?? 0
  })
}

/** One run through a page: from where, and how many exits until it is stopped. */
export interface Pass {
  readonly rip: number
  readonly exits: number
}

/** Cuts a burst into passes. */
export function* passes(kind: BurstKind, count: number): Generator<Pass> {
  const rip = burstKinds.indexOf(kind) * PAGE_SIZE
  const room = PAGE_SIZE / sleds[kind].instruction.length
  for (let left = count; left > 0; left -= room) yield { rip, exits: Math.min(left, room) }
}
