/** Guests of a program's own sources: they come, change and go, and no fault of a source goes further. */
import t from 'tap'
import { ErrnoError, Failure } from '../../src/abi/errno.js'
import type { Vm } from '../../src/kvm/vm.js'
import { VmList } from '../../src/kvm/vm-list.js'
import type { OwnCounts, OwnGuest } from '../../src/sources/own/guest-source.js'
import { OwnGuests } from '../../src/sources/own/own-guests.js'

function setup() {
  const vms = new VmList()
  const reports: string[] = []
  const started = new Map<number, bigint>([
    [10, 1n],
    [11, 2n],
    [12, 3n],
    [20, 9n],
  ])
  const world = { guests: [] as OwnGuest[] | Error, counts: {} as Partial<OwnCounts>, opened: 0 }
  const own = new OwnGuests(
    [
      {
        guests() {
          if (world.guests instanceof Error) throw world.guests
          return world.guests
        },
        open() {
          world.opened += 1
          return { name: 'own', events: [{ name: 'exits' }], get_event_count: () => 5n, ...world.counts }
        },
      },
    ],
    {
      vms,
      startTimeOf: tid => started.get(tid),
      report: (what, error) =>
        reports.push(`${what}: ${error instanceof Error ? error.message : String(error)}`),
    },
  )
  const first = () => [...vms][0] as Vm
  return { vms, own, world, started, reports, first, names: () => [...vms].map(vm => vms.nameOf(vm)) }
}

const vcpu = (id: number, tid: number) => ({ id, tid })
const guest: OwnGuest = { name: 'vm1', pid: 10, vcpus: [vcpu(0, 11)] }

t.test('a guest is listed once, and stays the same while its process lives', async t => {
  const { own, world, first, names, started } = setup()
  own.look()
  t.strictSame(names(), [])
  world.guests = [guest]
  own.look()
  const vm = first()
  t.match(vm, { name: 'vm1', tgid: 10, startTime: 1n, isReal: true })
  t.equal(vm.source.name, 'own')
  world.guests = [{ ...guest, vcpus: [vcpu(0, 11), vcpu(1, 12), vcpu(2, 999)] }]
  own.look()
  t.equal(first(), vm)
  t.strictSame(
    vm.vcpus.map(({ id, tid }) => [id, tid]),
    [
      [0, 11],
      [1, 12],
    ],
    'a vCPU came; a thread that does not live is none',
  )
  t.equal(world.opened, 1)
  started.set(10, 50n)
  own.look()
  t.not(first(), vm, 'a process that came later with the id is another guest')
  t.equal(world.opened, 2)
  started.delete(10)
  own.look()
  t.strictSame(names(), [])
})

t.test('a guest that goes is closed once it is not listed any more', async t => {
  const { own, world, vms } = setup()
  const order: string[] = []
  vms.onChange(({ kind }) => order.push(kind))
  world.counts = { close: () => order.push('closed') }
  world.guests = [guest, { name: 'vm2', pid: 20, vcpus: [] }]
  own.look()
  world.guests = [guest]
  own.look()
  own.close()
  t.strictSame(order, ['added', 'added', 'removed', 'closed', 'removed', 'closed'])
})

t.test('events that a source grows by are told to the list', async t => {
  const { own, world, vms, first } = setup()
  const events = [{ name: 'exits' }]
  world.counts = { events }
  world.guests = [guest]
  own.look()
  const kinds: string[] = []
  vms.onChange(({ kind }) => kinds.push(kind))
  own.look()
  t.strictSame(kinds, [])
  events.push({ name: 'halts' })
  own.look()
  t.strictSame(kinds, ['updated'])
  t.strictSame(
    first().source.events.map(({ name }) => name),
    ['exits', 'halts'],
  )
})

t.test('guests() or open() that throws is told, and changes nothing', async t => {
  const { own, world, reports, names } = setup()
  world.guests = [guest]
  own.look()
  world.guests = new Error('on purpose')
  own.look()
  t.strictSame(names(), ['vm1'])
  t.strictSame(reports.splice(0), ['guests: on purpose'])
  world.counts = { name: 'two words' }
  world.guests = [guest, { name: 'vm2', pid: 20, vcpus: [] }]
  own.look()
  t.strictSame(names(), ['vm1'])
  t.match(reports, [/^open: .*one word/])
})

t.test('counts that throw or are none cannot be read, and are told', async t => {
  const { own, world, reports, first } = setup()
  const thrown = new Error('on purpose')
  const fail = () => {
    throw thrown
  }
  world.counts = { get_event_count: fail, configure_event: fail, close: fail }
  world.guests = [guest]
  own.look()
  const { source, vcpus } = first()
  const [one] = vcpus
  if (!one) throw new Error('there is a vCPU')
  t.equal(source.get_event_count(one, 'exits'), undefined)
  t.match(
    source.configure_event(one, 'exits', true),
    new Failure('EIO', 'source "own" failed in configure_event'),
  )
  source.close()
  t.strictSame(reports.splice(0), [
    'source "own": get_event_count: on purpose',
    'source "own": configure_event: on purpose',
    'source "own": close: on purpose',
  ])
})

t.test('counts are taken as u64, and one that is gone is no fault', async t => {
  const { own, world, reports, first } = setup()
  let value: unknown = -1n
  world.counts = {
    get_event_count: () => {
      if (value instanceof Error) throw value
      return value as bigint
    },
  }
  world.guests = [guest]
  own.look()
  const { source, vcpus } = first()
  const read = () => (vcpus[0] ? source.get_event_count(vcpus[0], 'exits') : 0n)
  t.equal(read(), 2n ** 64n - 1n)
  value = new ErrnoError('ENOENT')
  t.equal(read(), undefined)
  t.equal(vcpus[0] && source.configure_event(vcpus[0], 'exits', true), undefined, 'it need not be there')
  t.strictSame(reports, [])
  value = 12
  t.equal(read(), undefined)
  t.match(reports, [/a bigint is wanted/])
})
