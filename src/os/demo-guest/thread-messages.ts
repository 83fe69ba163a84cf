/** What the demo guest's main thread and its vCPUs' threads tell each other. */
import type { KvmVm } from './kvm-vm.js'

/** What a vCPU's thread starts with. */
export interface ThreadData {
  readonly vcpuId: number
  /** The VM that the vCPU belongs to; without one it is simulated. */
  readonly vm?: KvmVm
  /** Rung after each order that is posted: the thread sleeps on it, since it never returns to its event loop. */
  readonly bell: Int32Array
}

/** What a vCPU's thread says: once that it is ready, then that an order is carried out. */
export type ThreadMessage =
  | { readonly kind: 'ready'; readonly tid: number; readonly statsFd: number }
  | { readonly kind: 'done' }
