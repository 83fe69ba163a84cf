/**
 * A thread of the demo guest: makes one vCPU, names itself `vcpuN` as cloud-hypervisor does, and runs it for ever.
 * The process's exit ends it, and waits for no longer than one KVM_RUN: every instruction of the guest leaves it, or
 * blocks until the next signal.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { PR_SET_NAME } from '../../abi/prctl.js'
import { roundOf } from '../../sources/demo/pacing.js'
import { type Order, type Orders, runVcpu } from '../../sources/demo/vcpu-loop.js'
import { gettid, machine, prctl } from '../libc.js'
import { KvmVcpu } from './kvm-vcpu.js'
import { SimulatedVcpu } from './simulated-vcpu.js'
import type { ThreadData, ThreadMessage } from './thread-messages.js'

function ordersFrom(port: MessagePort, bell: Int32Array): Orders {
  const next = (timeout: number): Order | undefined => {
    for (;;) {
      const rings = Atomics.load(bell, 0)
      const received: { message: Order } | undefined = receiveMessageOnPort(port)
      if (received) return received.message
      if (Atomics.wait(bell, 0, rings, timeout) === 'timed-out') return undefined
    }
  }
  return { next, done: () => port.postMessage({ kind: 'done' } satisfies ThreadMessage) }
}

function serve(port: MessagePort, { vcpuId, vm, bell }: ThreadData): never {
  prctl(PR_SET_NAME, `vcpu${vcpuId}`)
  const vcpu = vm ? new KvmVcpu(vm, vcpuId) : new SimulatedVcpu(vcpuId)
  port.postMessage({ kind: 'ready', tid: gettid(), statsFd: vcpu.statsFd } satisfies ThreadMessage)
  return runVcpu(vcpu, roundOf(machine(), vcpuId), ordersFrom(port, bell))
}

const data: ThreadData = workerData
if (parentPort) serve(parentPort, data)
