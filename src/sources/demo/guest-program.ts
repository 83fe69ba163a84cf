/**
 * What the demo guest runs: for each kind of event one page of memory filled with the one instruction that makes it,
 * with paging and interrupts off, on x86 in real mode, on arm64 at EL1.
 *
 * Every instruction leaves the guest, so the VMM counts exits and stops after the last: a burst of N is exactly N
 * instructions. No jump leads back to a page's start, since a KVM that emulates real mode (KVM_PVM does) would
 * count the jumps as emulated too; the VMM sets the program counter anew for each page.
 * An instruction that KVM carries out by itself returns to no VMM: its page ends with one that does.
 */
import { ErrnoError } from '../../abi/errno.js'
import type { ExitName } from '../../abi/kvm.js'
import type { Machine } from '../../abi/syscalls.js'
import { type BurstKind, burstKinds } from './protocol.js'

const PAGE_SIZE = 4096

/** One kind of instruction of the guest, and how the guest leaves to the VMM by it. */
export interface Sled {
  readonly instruction: readonly number[]
  readonly exit: ExitName
  /** KVM blocks in it until a signal comes, and then goes on with the next: the exit is that of `end`. */
  readonly blocks?: { readonly end: readonly number[] }
}

/** The instruction of each kind that a machine has; a page is a whole number of each. */
export type GuestProgram = Readonly<Partial<Record<BurstKind, Sled>>>

// strb w0, [x9]: x9 holds an address where no memory is
const strb = [0x20, 0x01, 0x00, 0x39]

export const guestPrograms: Readonly<Record<Machine, GuestProgram>> = {
  x86_64: {
    // out %al,(%dx)
    port: { instruction: [0xee], exit: 'KVM_EXIT_IO' },
    // mov %al,(%bx): DS lies where no memory is
    mmio: { instruction: [0x88, 0x07], exit: 'KVM_EXIT_MMIO' },
    // hlt: without an interrupt controller in the kernel the VMM is told
    halt: { instruction: [0xf4], exit: 'KVM_EXIT_HLT' },
  },
  aarch64: {
    mmio: { instruction: strb, exit: 'KVM_EXIT_MMIO' },
    // wfi
    halt: { instruction: [0x7f, 0x20, 0x03, 0xd5], exit: 'KVM_EXIT_MMIO', blocks: { end: strb } },
  },
}

/** The kinds of event that a machine's guest can make. */
export const kindsOf = (machine: Machine): BurstKind[] =>
  burstKinds.filter(kind => guestPrograms[machine][kind] !== undefined)

/**
 * The instruction of a kind.
 *
 * @throws {ErrnoError} EOPNOTSUPP where the machine has none
 */
export function sledOf(machine: Machine, kind: BurstKind): Sled {
  const sled = guestPrograms[machine][kind]
  if (sled) return sled
  const others = kindsOf(machine).map(name => `"${name}"`)
  throw new ErrnoError(
    'EOPNOTSUPP',
    `Cannot burst: ${machine} has no instruction for "${kind}"; use ${others.join(' or ')}`,
  )
}

/** How many bytes of memory the guest has, from address 0. */
export const guestMemorySize = burstKinds.length * PAGE_SIZE

/** An address that no memory backs; on x86 the base of DS, which real mode reaches. */
export const mmioBase = 0x10000

/** The port that is written: no device is behind it, as behind no port of this guest. */
export const port = 0x10

const pageOf = (kind: BurstKind): number => burstKinds.indexOf(kind) * PAGE_SIZE

/** Fills the guest's memory. */
export function writeProgram(memory: Uint8Array, machine: Machine): void {
  for (const kind of kindsOf(machine)) {
    const { instruction, blocks } = sledOf(machine, kind)
    const page = memory.subarray(pageOf(kind), pageOf(kind) + PAGE_SIZE)
    for (let at = 0; at < PAGE_SIZE; at++) page[at] = instruction[at % instruction.length] ?? 0
    if (blocks) page.set(blocks.end, PAGE_SIZE - blocks.end.length)
  }
}

/** One run through a page: from where, and how many exits to the VMM until it is stopped. */
export interface Pass {
  readonly address: number
  readonly exits: number
}

/** Cuts a burst into passes. */
export function* passes(machine: Machine, kind: BurstKind, count: number): Generator<Pass> {
  const { instruction, blocks } = sledOf(machine, kind)
  const room = (PAGE_SIZE - (blocks?.end.length ?? 0)) / instruction.length
  for (let left = count; left > 0; left -= room) {
    const now = Math.min(left, room)
    // What does not return to the VMM runs from where so many are left before the end.
    if (blocks) yield { address: pageOf(kind) + (room - now) * instruction.length, exits: 1 }
    else yield { address: pageOf(kind), exits: now }
  }
}
