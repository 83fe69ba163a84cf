/** What the demo guest took of KVM is given back where its setting up fails: it goes on as a simulated one. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import t from 'tap'
import { registers } from '../src/os/demo-guest/kvm-registers.js'
import { KvmVcpu } from '../src/os/demo-guest/kvm-vcpu.js'
import { createVm } from '../src/os/demo-guest/kvm-vm.js'
import { addressOf, machine } from '../src/os/libc.js'
import { needs } from './support/needs.js'

const MEMORY = 2 ** 20

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return ''
  }
}

/** What this process has of KVM: descriptors and mappings. */
function held(): string[] {
  const open = readdirSync('/proc/self/fd').map(linkOf)
  const mapped = readFileSync('/proc/self/maps', 'utf8').split('\n')
  return [...open, ...mapped].filter(line => /kvm-(vm|vcpu)/.test(line))
}

function isMapped(address: bigint): boolean {
  const ranges = readFileSync('/proc/self/maps', 'utf8').matchAll(/^([\da-f]+)-([\da-f]+) /gm)
  return [...ranges].some(([, start, end]) => address >= BigInt(`0x${start}`) && address < BigInt(`0x${end}`))
}

t.test('a VM whose memory cannot be filled leaves nothing behind', needs('kvm'), async t => {
  let address = 0n
  const fill = (memory: Uint8Array): never => {
    address = addressOf(memory)
    throw new Error('no program')
  }
  let message: unknown
  try {
    createVm(MEMORY, fill)
  } catch (error) {
    message = error instanceof Error && error.message
  }
  const stillMapped = isMapped(address)
  t.equal(message, 'no program')
  t.not(address, 0n)
  t.notOk(stillMapped, 'its memory')
  t.same(held(), [])
})

t.test('a vCPU whose registers cannot be set leaves nothing behind', needs('kvm'), async t => {
  const { vm, end } = createVm(MEMORY, () => undefined)
  const before = held()
  t.not(before.length, 0)
  const setUp = (): never => {
    throw new Error('no registers')
  }
  const results = t.intercept(registers, machine(), { value: { ...registers[machine()], setUp } })
  t.throws(() => new KvmVcpu(vm, 0), { message: 'no registers' })
  results.restore()
  t.same(held(), before)

  const vcpu = new KvmVcpu(vm, 1)
  t.not(held().length, before.length)
  vcpu.close()
  t.same(held(), before, 'one that could be made')
  end()
  t.same(held(), [])
})
