/** Events of the PMU `kvm_vm` while VMs and vCPUs come and go, and what is fetched for them. */
import t from 'tap'
import { Failure } from '../../src/abi/errno.js'
import { PERF_EVENT_IOC_ENABLE } from '../../src/abi/perf-event.js'
import { attrOf, type perf_event_attr } from '../../src/abi/perf-event-attr.js'
import { perf_release } from '../../src/perf/event-file.js'
import { FakeRefresher } from '../../src/sources/fake/fake-refresher.js'
import { FakeSource } from '../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { FakeWhole } from '../../src/sources/fake/fake-whole.js'
import { caller, flushes, ioctl, machine, read } from './support/vm-machine.js'

t.test('a vCPU that cannot be armed leaves none armed, and the event waits', async t => {
  const { open, source, vm } = machine()
  source.isFull = true
  const event = open()
  t.equal(event.stateName, 'inactive')
  t.equal(source.isArmed(vm.vcpu(0), 'exits'), false)
  source.isFull = false
  read(event)
  t.equal(event.stateName, 'active')
})

t.test('no sum is given that leaves out a vCPU which could not be armed when it came', async t => {
  const { open, source, vms, vm, clock } = machine({ armedOnly: true })
  const event = open()
  source.happen(vm.vcpu(0), 'exits', 3n)
  source.refusal = new Failure('EMFILE', 'no more descriptors')
  const plugged = vm.plug(2, 1003, clock.ticks)
  vms.update(vm)
  source.happen(vm.vcpu(0), 'exits', 2n)
  t.throws(() => read(event), { code: 'EIO' })
  t.equal(event.stateName, 'error')
  source.refusal = undefined
  t.equal(read(event), 5n, 'it is armed by the read')
  t.equal(event.stateName, 'active')
  t.ok(source.isArmed(plugged, 'exits'))
  source.happen(plugged, 'exits', 4n)
  t.equal(read(event), 9n)
  perf_release(event)
  t.notOk(source.isArmed(plugged, 'exits'))
  t.equal(source.repeated, 0)
})

t.test('a vCPU that goes before it could be armed is armed no more', async t => {
  const { open, source, vms, vm, clock } = machine()
  const event = open()
  source.refusal = new Failure('EMFILE', 'no more descriptors')
  const plugged = vm.plug(2, 1003, clock.ticks)
  source.set(plugged, 'exits', 7n)
  vms.update(vm)
  source.refusal = undefined
  vm.unplug(2)
  vms.update(vm)
  t.notOk(source.isArmed(plugged, 'exits'))
  t.equal(read(event), 0n)
})

t.test('nothing is lost when a vCPU is unplugged, nor counted twice when it comes back', async t => {
  const { open, source, vms, vm } = machine()
  const second = vm.vcpu(1)
  source.set(second, 'exits', 50n)
  const event = open()
  source.happen(second, 'exits', 4n)
  vm.unplug(1)
  vms.update(vm)
  t.equal(source.isArmed(second, 'exits'), false)
  t.equal(event.stateName, 'active')
  source.happen(vm.vcpu(0), 'exits', 1n)
  t.equal(read(event), 5n)
  // QEMU keeps the vCPU, and KVM its statistics: a new thread runs it from where it was.
  const back = vm.plug(1, 1003, 600n)
  vms.update(vm)
  t.equal(source.isArmed(back, 'exits'), true)
  source.happen(back, 'exits', 2n)
  t.equal(read(event), 7n)
})

t.test(
  'a vCPU that is plugged in counts from its beginning, one that is found late from then on',
  async t => {
    const { open, source, vms, vm, clock } = machine()
    const event = open()
    const found = vm.plug(2, 1003, clock.ticks - 1n)
    source.set(found, 'exits', 1000n)
    vms.update(vm)
    t.equal(read(event), 0n, 'whose it did before cannot be told')
    source.happen(found, 'exits', 5n)
    t.equal(read(event), 5n)
    const plugged = vm.plug(3, 1004, clock.ticks)
    source.set(plugged, 'exits', 7n)
    vms.update(vm)
    t.equal(read(event), 12n)
  },
)

t.test('a vCPU that left before the event was opened does not bring its old counts with it', async t => {
  const { open, source, vms, vm } = machine()
  source.set(vm.vcpu(1), 'exits', 50n)
  vm.unplug(1)
  vms.update(vm)
  const event = open()
  const back = vm.plug(1, 1003, 600n)
  vms.update(vm)
  source.happen(back, 'exits', 2n)
  t.equal(read(event), 2n)
})

t.test('a statistic of one vCPU that is reset or cannot be read for a while spoils no other', async t => {
  const { open, source, vm } = machine()
  const event = open()
  source.happen(vm.vcpu(0), 'exits', 10n)
  source.happen(vm.vcpu(1), 'exits', 20n)
  t.equal(read(event), 30n)
  source.set(vm.vcpu(0), 'exits', 3n)
  source.happen(vm.vcpu(1), 'exits', 1n)
  t.equal(read(event), 34n)
  source.isReadable = false
  source.happen(vm.vcpu(0), 'exits', 2n)
  t.throws(() => read(event), {
    code: 'EIO',
    message: 'Event "exits" of process 1000 cannot be read now; DEBUG=pmufs:sources shows why',
  })
  t.equal(event.stateName, 'error')
  source.isReadable = true
  source.happen(vm.vcpu(1), 'exits', 1n)
  t.equal(read(event), 37n)
  t.equal(event.stateName, 'active')
})

t.test('the VMs of one process are summed; the event ends with the last of them', async t => {
  const { open, source, vms, vm } = machine()
  const second = new FakeVm({ name: 'second', tids: [1003] })
  vms.add(second)
  const event = open()
  vms.add(new FakeVm({ name: 'third', tids: [1004] }))
  source.happen(vm.vcpu(0), 'exits', 3n)
  second.source.happen(second.vcpu(0), 'exits', 4n)
  t.equal(read(event), 7n)
  vms.remove(vm)
  source.close()
  t.equal(event.stateName, 'active')
  t.equal(source.isArmed(vm.vcpu(0), 'exits'), false)
  second.source.happen(second.vcpu(0), 'exits', 1n)
  vms.remove(second)
  second.source.close()
  t.equal(event.stateName, 'exit', 'the third came after it was opened')
  t.equal(read(event), 8n)
  ioctl(event, PERF_EVENT_IOC_ENABLE)
  t.equal(event.stateName, 'exit')
  perf_release(event)
  t.equal(second.source.repeated + source.repeated, 0)
})

t.test('the end of the main thread ends its event with the last count', async t => {
  const { open, source, vm, tasks } = machine()
  const event = open({ pid: 1000 })
  source.happen(vm.vcpu(0), 'exits', 3n)
  for (const task of tasks) task.isExited = true
  t.equal(read(event), 3n)
  t.equal(event.stateName, 'exit')
})

t.test('refresher() looks for an unknown process once, then fetches what the event sums up', async t => {
  const [scan, counts, wholes] = [new FakeRefresher(), new FakeRefresher(), new FakeRefresher()]
  const whole = new FakeWhole(['remote_tlb_flush'], wholes)
  const { pmu } = machine({ refresher: counts, scanRefresher: scan, whole })
  const names = new Map([
    [scan, 'scan'],
    [counts, 'counts'],
    [wholes, 'wholes'],
  ])
  const asked = (attr: Partial<perf_event_attr>, tid = -1) => {
    const target = { attr: attrOf(attr), tid, caller }
    const named = () => names.get(pmu.refresher(target) as FakeRefresher)
    return [named(), named()]
  }
  t.same(asked({ config1: 1000n }), ['counts', undefined])
  t.same(asked({ config1: 1000n, config: flushes }), ['wholes', undefined])
  t.same(asked({}, 1000), ['counts', undefined])
  t.same(asked({ config1: 1000n, disabled: true }), [undefined, undefined], 'no count is read yet')
  t.same(asked({ config1: 1000n, config: 0x99n }), [undefined, undefined], 'nothing to fetch for it')
  t.same(asked({}), [undefined, undefined], 'no VM is named')
  t.same(asked({}, 1001), [undefined, undefined], 'a vCPU counts 0')
  t.same(asked({ config1: 4700n }), ['scan', undefined])
  t.same(asked({}, 1003), ['scan', undefined])
})

t.test('eventRefresher() of a sum over several VMs is done when all of them are', async t => {
  const [one, two] = [new FakeRefresher(), new FakeRefresher()]
  const { pmu, vms, open, vm } = machine({ refresher: one })
  t.equal(pmu.eventRefresher(open({ disabled: true })), one)
  const second = new FakeVm({ name: 'second', tids: [1003], source: new FakeSource({ refresher: two }) })
  vms.add(second)
  const event = open({ disabled: true })
  const done: (string | undefined)[] = []
  const refresh = (name: string) =>
    pmu.eventRefresher(event)?.refresh(failure => done.push(failure ? `${name}: ${failure.code}` : name))
  refresh('a')
  refresh('b')
  const withdraw = refresh('c')
  two.complete()
  t.same(done, [])
  withdraw?.()
  one.complete()
  t.same(done, ['a', 'b'], 'in order')
  refresh('d')
  one.complete(new Failure('ETIMEDOUT'))
  two.complete()
  t.same(done.at(-1), 'd: ETIMEDOUT')
  vms.remove(vm)
  t.equal(pmu.eventRefresher(event), two)
})
