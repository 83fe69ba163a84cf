/** What cannot be counted is an errno: at the open, where the next source may serve, or at a read. */
import t from 'tap'
import { orThrow } from '../../src/abi/errno.js'
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_RESET,
  PERF_FORMAT_GROUP,
} from '../../src/abi/perf-event.js'
import { attrOf, type perf_event_attr } from '../../src/abi/perf-event-attr.js'
import type { PerfEvent } from '../../src/perf/event.js'
import { perf_event_read_value, perf_read } from '../../src/perf/event-file.js'
import { ComposedSource } from '../../src/sources/composed-source.js'
import { FakeRefresher } from '../../src/sources/fake/fake-refresher.js'
import { FakeSource } from '../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { FakeWhole } from '../../src/sources/fake/fake-whole.js'
import { refusal } from './support/machine.js'
import { CPU, caller, flushes, ioctl, KVM, machine, read } from './support/vm-machine.js'

const eio = { code: 'EIO' }

t.test('kvm: a read that fails says so, the state too, and the next good one has it all', async t => {
  const { open, source, vm } = machine()
  const event = open({ type: KVM, pid: 1001 })
  source.happen(vm.vcpu(0), 'exits', 2n)
  source.isReadable = false
  t.throws(() => read(event), eio)
  t.throws(() => ioctl(event, PERF_EVENT_IOC_RESET), eio, 'what was before cannot be told from what comes')
  t.equal(event.stateName, 'error')
  source.happen(vm.vcpu(0), 'exits', 3n)
  source.isReadable = true
  t.equal(read(event), 5n)
  t.equal(event.stateName, 'active')
})

t.test('kvm: an event that was switched off or has ended keeps its last count', async t => {
  const { open, source, vm, vms, tasks } = machine()
  const [off, ended, gone] = [1001, 1002, 1001].map(pid => open({ type: KVM, pid })) as [
    PerfEvent,
    PerfEvent,
    PerfEvent,
  ]
  for (const vcpu of vm.vcpus) source.happen(vcpu, 'exits', 2n)
  for (const event of [off, ended, gone]) t.equal(read(event), 2n)
  source.isReadable = false
  ioctl(off, PERF_EVENT_IOC_DISABLE)
  t.equal(off.stateName, 'off')
  t.equal(read(off), 2n)
  for (const task of tasks) if (task.tid === 1002) task.isExited = true
  t.equal(read(ended), 2n)
  t.equal(ended.stateName, 'exit')
  vms.remove(vm)
  t.equal(read(gone), 2n)
  t.equal(gone.stateName, 'exit')
})

t.test('an event that is enabled while its source cannot be read begins with the first reading', async t => {
  const { open, source, vm } = machine()
  for (const event of [open({ type: KVM, pid: 1001, disabled: true }), open({ disabled: true })]) {
    source.isReadable = false
    ioctl(event, PERF_EVENT_IOC_ENABLE)
    t.equal(event.stateName, 'error')
    t.throws(() => read(event), eio, 'it has no 0')
    t.equal(event.total_time_running, 0n)
    source.happen(vm.vcpu(0), 'exits', 9n)
    source.isReadable = true
    t.equal(read(event), 0n)
    t.equal(event.stateName, 'active')
    source.happen(vm.vcpu(0), 'exits', 4n)
    t.equal(read(event), 4n)
  }
})

t.test('a group of which one cannot be read gives none', async t => {
  const { core, source, vm } = machine()
  const openIn = (group: PerfEvent | -1, attr: Partial<perf_event_attr> = {}) =>
    orThrow(
      core.perf_event_open({
        attr: attrOf({ type: KVM, read_format: PERF_FORMAT_GROUP, ...attr }),
        pid: 1001,
        cpu: -1,
        group_fd: group,
        flags: 0n,
        caller,
      }),
    )
  const leader = openIn(-1)
  const sibling = openIn(leader, { config: 1n })
  const counts = () => [...new BigUint64Array(perf_read(leader, 64).slice().buffer)]
  source.happen(vm.vcpu(0), 'exits', 2n)
  t.same(counts(), [2n, 2n, 0n])
  const get = source.get_event_count.bind(source)
  source.get_event_count = (vcpu, event) => (event === 'io_exits' ? undefined : get(vcpu, event))
  t.throws(counts, eio)
  t.equal(sibling.stateName, 'error')
  ioctl(leader, PERF_EVENT_IOC_DISABLE)
  ioctl(leader, PERF_EVENT_IOC_ENABLE)
  t.throws(counts, eio, 'it is placed whole or not at all')
  t.throws(() => perf_event_read_value(leader), eio, 'the leader alone neither')
  source.get_event_count = get
  t.same(counts(), [2n, 2n, 0n])
})

t.test('the next source serves an event that the first cannot read at the open', async t => {
  const [first, second] = [new FakeSource(), new FakeSource()]
  const readable = Object.assign(first, { canCount: () => first.isReadable })
  const { vms, open } = machine()
  const vm = Object.assign(new FakeVm({ tgid: 2000, tids: [2000] }), {
    source: new ComposedSource([readable, second]),
  })
  vms.add(vm)
  first.isReadable = false
  const [event, sum] = [open({ type: KVM, pid: 2000 }), open({ config1: 2000n })]
  first.isReadable = true
  second.happen(vm.vcpu(0), 'exits', 3n)
  t.same([event, sum].map(read), [3n, 3n])
  t.equal(second.isArmed(vm.vcpu(0), 'exits'), true)
})

t.test('kvm_vm: a statistic that cannot be read is EIO at the open and at a read', async t => {
  const whole = new FakeWhole(['remote_tlb_flush'])
  const { open, tryOpen } = machine({ whole })
  const event = open({ config: flushes })
  whole.counts.set('remote_tlb_flush', 3n)
  whole.isReadable = false
  t.match(
    refusal(tryOpen({ config: flushes })),
    /^EIO: Event "remote_tlb_flush" of process 1000 cannot be read/,
  )
  t.throws(() => read(event), eio)
  whole.isReadable = true
  t.equal(read(event), 3n)
})

t.test(
  'kvm_vm: the sum over vCPUs that cannot all be read or told is taken from the VM, where it has it',
  async t => {
    const whole = new FakeWhole(['exits'])
    const { vms, open, tryOpen, pmu } = machine()
    const source = Object.assign(new FakeSource(), { canCount: ({ id }: { id: number }) => id === 0 })
    const vm = new FakeVm({ tgid: 2000, tids: [2001, 2002], source, whole })
    vms.add(vm)
    whole.counts.set('exits', 50n)
    const unread = open({ config1: 2000n })
    vm.unplug(1)
    vm.pending = [1]
    vms.update(vm)
    const pending = open({ config1: 2000n })
    whole.counts.set('exits', 56n)
    t.same([unread, pending].map(read), [6n, 6n])
    whole.isReadable = false
    t.match(refusal(tryOpen({ config1: 2000n })), /^EIO/)

    const none = new FakeVm({ name: 'none', tgid: 4700, tids: [] })
    none.pending = [0, 1]
    vms.add(none)
    const expected =
      'EAGAIN: which threads of process 4700 run its vCPUs 0, 1 cannot be told yet; let the guest run, then try again'
    t.equal(refusal(tryOpen({ config1: 4700n })), expected, 'the sum over none is no 0')
    t.equal(refusal(tryOpen({ type: KVM, pid: 4711 })), expected, 'any thread may be a vCPU that counts')
    none.pending = []
    t.equal(refusal(tryOpen({ type: KVM, pid: 4711 })), 'not refused', 'one that runs none has had none')
    t.equal(pmu.name, 'kvm_vm')
  },
)

t.test('kvm_vm: vCPUs that cannot be told are looked for once more at each open', async t => {
  const scan = new FakeRefresher()
  const { vms, vm, pmu, open } = machine({ scanRefresher: scan })
  vm.pending = [1]
  vm.unplug(1)
  vms.update(vm)
  const target = { attr: attrOf({ config1: 1000n }), tid: -1, caller }
  t.equal(pmu.refresher(target), scan)
  t.equal(pmu.refresher(target), undefined)
  vm.pending = []
  vm.plug(1, 1003)
  vms.update(vm)
  t.equal(pmu.refresher({ ...target }), undefined)
  t.equal(open({ cpu: CPU }).stateName, 'active')
})
