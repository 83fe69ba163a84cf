/**
 * The built-in demo guest, a program of its own: `node main.js [--simulated] [--vcpus N]` (2 vCPUs, at most 16).
 *
 * A VMM as small as can be. It holds each vCPU's KVM statistics descriptor open, as QEMU 8.1 does, and the VM's, so that
 * it is found and counted like any other guest. Where /dev/kvm cannot be used a simulated guest takes its place: threads of
 * the same names, statistics in memfds of the same layout. src/sources/demo/protocol.ts tells how it is spoken to.
 * SIGTERM, SIGINT and the death of the process that started it end it at once, the end of stdin when it has answered.
 */

import { constants } from 'node:os'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { PR_SET_PDEATHSIG } from '../../abi/prctl.js'
import { guestMemorySize, kindsOf, sledOf, writeProgram } from '../../sources/demo/guest-program.js'
import { type Answer, type Command, parseCommand, type Ready } from '../../sources/demo/protocol.js'
import { machine, prctl } from '../libc.js'
import { KvmVcpu } from './kvm-vcpu.js'
import { createVm, type KvmVm } from './kvm-vm.js'
import { VcpuHandle } from './vcpu-handle.js'

const MAX_VCPUS = 16

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function say(line: Ready | Answer): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function options(): { readonly isSimulated: boolean; readonly vcpus: number } {
  const { values } = parseArgs({
    options: { simulated: { type: 'boolean', default: false }, vcpus: { type: 'string', default: '2' } },
  })
  const vcpus = Number(values.vcpus)
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > MAX_VCPUS)
    throw new Error(`Cannot start: "--vcpus" is "${values.vcpus}", a number from 1 to ${MAX_VCPUS} wanted`)
  return { isSimulated: values.simulated, vcpus }
}

const createProgrammedVm = () => createVm(guestMemorySize, memory => writeProgram(memory, machine()))

/** Runs each kind of instruction once in a VM that is given up again: KVM that is there may still be of no use. */
function tryGuest(): void {
  const { vm, end } = createProgrammedVm()
  try {
    const vcpu = new KvmVcpu(vm, 0)
    try {
      for (const kind of kindsOf(machine())) vcpu.burst(kind, 1)
    } finally {
      vcpu.close()
    }
  } finally {
    end()
  }
}

/** The VM, or why there is none. */
function createGuest(): KvmVm | string {
  try {
    tryGuest()
    return createProgrammedVm().vm
  } catch (error) {
    return messageOf(error)
  }
}

class Guest {
  readonly #vcpus: readonly VcpuHandle[]
  #isPaused = true

  constructor(vcpus: readonly VcpuHandle[]) {
    this.#vcpus = vcpus
  }

  async obey(command: Command): Promise<void> {
    if (command.op !== 'burst') return this.orderAll(command.op)
    if (!this.#isPaused) throw new Error('Cannot burst while the guest runs: send {"op":"pause"} first')
    const vcpu = this.#vcpus[command.vcpu]
    if (!vcpu) throw new Error(`Cannot burst: there is no vCPU ${command.vcpu}`)
    // Refused here: a vCPU's thread that throws ends the guest.
    sledOf(machine(), command.kind)
    await vcpu.order({ op: 'burst', kind: command.kind, count: command.count })
  }

  async orderAll(op: 'run' | 'pause'): Promise<void> {
    await Promise.all(this.#vcpus.map(vcpu => vcpu.order({ op })))
    this.#isPaused = op === 'pause'
  }
}

async function answer(guest: Guest, line: string): Promise<Answer> {
  try {
    await guest.obey(parseCommand(line))
    return { ok: true }
  } catch (error) {
    return { ok: false, error: messageOf(error) }
  }
}

async function main(): Promise<void> {
  prctl(PR_SET_PDEATHSIG, constants.signals.SIGKILL)
  // It wakes vCPUs that block: it must be caught, and needs nothing done.
  process.on('SIGALRM', () => undefined)
  const { isSimulated, vcpus } = options()
  const vm = isSimulated ? undefined : createGuest()
  const real = typeof vm === 'object' ? vm : undefined
  const handles = await Promise.all(
    Array.from({ length: vcpus }, (_, id) => VcpuHandle.start({ id, vm: real, onFailure: fail })),
  )
  const guest = new Guest(handles)
  await guest.orderAll('run')
  say({
    ready: true,
    kind: real ? 'kvm' : 'simulated',
    ...(typeof vm === 'string' && { reason: vm }),
    pid: process.pid,
    ...(real && { statsFd: real.statsFd }),
    vcpus: handles.map(handle => handle.description),
  })
  for await (const line of createInterface({ input: process.stdin })) say(await answer(guest, line))
}

function fail(error: unknown): never {
  process.stderr.write(`pmufs demo guest: ${messageOf(error)}\n`)
  process.exit(1)
}

process.once('SIGTERM', () => process.exit(0))
process.once('SIGINT', () => process.exit(0))
process.stdout.once('error', () => process.exit(0))
try {
  await main()
  process.exit(0)
} catch (error) {
  fail(error)
}
