/**
 * Which statistics count a kind of event exactly on this host: found by trying, since it differs between kinds of KVM
 * and is nowhere to be asked. A statistic is exact for a kind when it moved by the very number of instructions in
 * every one of several bursts; one that also counts the host's interrupts will have been off in one of them.
 */
import type { BurstCommand, BurstKind } from './protocol.js'

/** A guest that can be made to burst, and whose statistics can be read. It must be paused. */
export interface ProbedGuest {
  request(command: BurstCommand): Promise<void>
  /** Every statistic of a vCPU, by name. */
  read(vcpu: number): ReadonlyMap<string, bigint>
}

/** The statistics that moved by exactly `count` from one reading to the next. */
export function movedExactly(
  before: ReadonlyMap<string, bigint>,
  after: ReadonlyMap<string, bigint>,
  count: number,
): Set<string> {
  const exact = new Set<string>()
  for (const [name, value] of after) {
    const start = before.get(name)
    if (start !== undefined && BigInt.asUintN(64, value - start) === BigInt(count)) exact.add(name)
  }
  return exact
}

/** Bursts of some hundred exits and more: long enough that a timer interrupt falls into one of them. */
const counts = [1, 499, 1499, 3001]

/** The names of the statistics that are exact for a kind of event, on one vCPU of a paused guest. */
export async function exactStatistics(guest: ProbedGuest, vcpu: number, kind: BurstKind): Promise<string[]> {
  let exact: readonly string[] | undefined
  for (const count of counts) {
    const before = guest.read(vcpu)
    await guest.request({ op: 'burst', vcpu, kind, count })
    const moved = movedExactly(before, guest.read(vcpu), count)
    exact = exact === undefined ? [...moved] : exact.filter(name => moved.has(name))
  }
  return [...(exact ?? [])]
}
