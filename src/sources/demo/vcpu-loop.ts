/**
 * The life of one vCPU's thread: rounds at its own pace while it runs, exact bursts when told while it is paused.
 * It blocks its thread and takes orders between bursts only, so that every order finds the guest between two
 * instructions.
 */
import type { Round } from './pacing.js'
import type { BurstKind } from './protocol.js'

/** What runs: a vCPU of KVM, or a simulated one. */
export interface DemoVcpu {
  /** Executes exactly `count` instructions of a kind. */
  burst(kind: BurstKind, count: number): void
}

/** What a vCPU's thread is told; each is answered once. */
export type Order =
  | { readonly op: 'run' }
  | { readonly op: 'pause' }
  | { readonly op: 'burst'; readonly kind: BurstKind; readonly count: number }

/** Where orders come from. */
export interface Orders {
  /** The next order; undefined when none came within `timeout` milliseconds. */
  next(timeout: number): Order | undefined
  /** The order that came last is carried out. */
  done(): void
}

/** Runs the vCPU for as long as its thread lives. */
export function runVcpu(vcpu: DemoVcpu, round: Round, orders: Orders): never {
  let isRunning = false
  for (;;) {
    const order = orders.next(isRunning ? round.rest : Number.POSITIVE_INFINITY)
    if (order?.op === 'burst') vcpu.burst(order.kind, order.count)
    if (order?.op === 'run') isRunning = true
    if (order?.op === 'pause') isRunning = false
    if (order) orders.done()
    else for (const [kind, count] of round.bursts) vcpu.burst(kind, count)
  }
}
