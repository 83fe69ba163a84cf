/** A vCPU's thread as the demo guest's main thread holds it: one order at a time, each with its answer. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { ReadyVcpu } from '../../sources/demo/protocol.js'
import type { Order } from '../../sources/demo/vcpu-loop.js'
import type { KvmVm } from './kvm-vm.js'
import type { ThreadData, ThreadMessage } from './thread-messages.js'

/** Which thread to start. */
export interface Start {
  readonly id: number
  readonly vm: KvmVm | undefined
  readonly onFailure: (error: unknown) => void
}

export class VcpuHandle {
  readonly description: ReadyVcpu
  readonly #worker: Worker
  readonly #bell: Int32Array

  private constructor(description: ReadyVcpu, worker: Worker, bell: Int32Array) {
    this.description = description
    this.#worker = worker
    this.#bell = bell
  }

  /**
   * Starts the thread of a vCPU; one that has no VM is simulated. Its statistics can be read when this settles.
   *
   * @param onFailure called when the thread ends by an error, which may be at any time
   */
  static async start({ id, vm, onFailure }: Start): Promise<VcpuHandle> {
    const bell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
    const data: ThreadData = { vcpuId: id, bell, ...(vm && { vm }) }
    const worker = new Worker(new URL('./vcpu-thread.js', import.meta.url), { workerData: data })
    worker.once('error', onFailure)
    const message = await nextMessage(worker)
    if (message.kind !== 'ready') throw new Error(`Cannot start vCPU ${id}: it did not say that it is ready`)
    return new VcpuHandle({ id, tid: message.tid, statsFd: message.statsFd }, worker, bell)
  }

  /** Gives an order and waits until it is carried out. The next one must wait for that. */
  async order(order: Order): Promise<void> {
    const answer = nextMessage(this.#worker)
    this.#worker.postMessage(order)
    Atomics.add(this.#bell, 0, 1)
    Atomics.notify(this.#bell, 0)
    await answer
  }
}

async function nextMessage(worker: Worker): Promise<ThreadMessage> {
  const [message]: ThreadMessage[] = await once(worker, 'message')
  if (message === undefined) throw new Error('Cannot hear a vCPU: its message is empty')
  return message
}
