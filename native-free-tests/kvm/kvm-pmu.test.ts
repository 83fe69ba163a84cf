/** Registration, attributes, growth, and VMs that come and go. */
import t from 'tap'
import { orThrow } from '../../src/abi/errno.js'
import { PERF_EF_START, PERF_EF_UPDATE } from '../../src/abi/perf-event.js'
import { type HostPmu, kvm_host_pmu_register } from '../../src/kvm/host-pmu.js'
import { KvmPmu } from '../../src/kvm/kvm-pmu.js'
import type { kvm_event_cb } from '../../src/kvm/vcpu-event.js'
import { VmList } from '../../src/kvm/vm-list.js'
import type { PerfEvent } from '../../src/perf/event.js'
import { PmuRegistry } from '../../src/perf/registry.js'
import { FakeSource } from '../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { fakeTask, machine, newEvent, refusal } from './support/machine.js'

/** The PMU's attribute files: path and text. */
const files = (pmu: HostPmu): Record<string, string> =>
  Object.fromEntries(
    pmu.attr_groups.flatMap(({ name, attrs }) => attrs.map(attr => [`${name}/${attr.name}`, attr.show()])),
  )

const cb = (count: () => bigint): kvm_event_cb => ({
  get_event_count: count,
  configure_event: () => undefined,
})
const attr = (name: string, id: number) => ({ name, show: () => `event=${id}\n` })

t.test('kvm_host_pmu_register() registers the PMU as the patch does', async t => {
  const { registry, pmu } = machine()
  t.equal(registry.byName('kvm')?.pmu, pmu)
  t.equal(registry.typeOf(pmu), 4096)
  t.equal(pmu.task_ctx_nr, 'perf_sw_context')
  t.equal(pmu.capabilities, 1, 'PERF_PMU_CAP_NO_INTERRUPT')
})

t.test('kvm_host_pmu_register() fails with EEXIST for a second one, and the first goes on', async t => {
  const { registry, vms, pmu, count, source, first, read } = machine()
  const event = count()
  const second = kvm_host_pmu_register(registry, { vms, nr_events: 0, cbs: [], event_attrs: [] })
  t.match(refusal(second), 'EEXIST')
  t.throws(() => new KvmPmu(registry, vms), { code: 'EEXIST' })
  t.equal(registry.byName('kvm')?.pmu, pmu)
  source.happen(first, 'exits', 2n)
  t.equal(read(event), 2n)
})

t.test('kvm_host_pmu_register() fails with EINVAL for events that do not fit together', async t => {
  const registry = new PmuRegistry()
  const vms = new VmList()
  const tooFew = kvm_host_pmu_register(registry, { vms, nr_events: 2, cbs: [cb(() => 0n)], event_attrs: [] })
  t.equal(refusal(tooFew), 'EINVAL: cbs has 1 entries: nr_events is 2')
  const cbs = Array.from({ length: 257 }, () => cb(() => 0n))
  const tooMany = kvm_host_pmu_register(registry, { vms, nr_events: 257, cbs, event_attrs: [] })
  t.equal(refusal(tooMany), 'EINVAL: nr_events is 257: config:0-7 has room for 256')
  t.same(registry.list(), [])
})

t.test('kvm_host_pmu_grow() takes in events while others are counted', async t => {
  const vms = new VmList()
  vms.add(new FakeVm())
  const registry = new PmuRegistry()
  const counts = [10n, 20n]
  const cbs = [0, 1].map(id => cb(() => counts[id] ?? 0n))
  const event_attrs = [attr('a', 0), attr('b', 1)]
  const pmu = orThrow(
    kvm_host_pmu_register(registry, {
      vms,
      nr_events: 1,
      cbs: cbs.slice(0, 1),
      event_attrs: event_attrs.slice(0, 1),
    }),
  )
  const [first, second] = [newEvent(pmu), newEvent(pmu, { config: 1n })]
  t.equal(pmu.event_init(first), undefined)
  pmu.add(first, PERF_EF_START)
  t.match(refusal(pmu.event_init(second)), 'EINVAL: event 0x01')
  t.notOk('events/b' in files(pmu))

  pmu.kvm_host_pmu_grow({ nr_events: 2, cbs, event_attrs })
  t.equal(files(pmu)['events/b'], 'event=1\n')
  t.equal(pmu.event_init(second), undefined)
  counts[0] = 13n
  pmu.read(first)
  t.equal(first.count, 3n)

  for (const lacking of [[], [cb(() => 0n), ...cbs.slice(1)]])
    t.throws(() => pmu.kvm_host_pmu_grow({ nr_events: lacking.length, cbs: lacking, event_attrs: [] }), {
      code: 'EINVAL',
      message: 'cbs lack an event that the PMU has: events are only added',
    })
  t.throws(() => pmu.kvm_host_pmu_grow({ nr_events: 3, cbs, event_attrs }), { code: 'EINVAL' })
  t.equal(files(pmu)['events/b'], 'event=1\n', 'a refused growth changes nothing')
  pmu.kvm_host_pmu_unregister()
  t.same(registry.list(), [])
})

t.test('each event is a file with its id, its unit and its scale', async t => {
  const { pmu } = machine({
    events: [
      'exits',
      { name: 'halt_wait_ns', unit: 's', scale: '1e-9' },
      { name: 'zz_new', unit: 'things' },
      'aa_new',
      'no/file',
    ],
  })
  t.same(files(pmu), {
    'events/exits': 'event=0x00\n',
    'events/halt_wait_ns': 'event=0x27\n',
    'events/halt_wait_ns.unit': 's\n',
    'events/halt_wait_ns.scale': '1e-9\n',
    'events/aa_new': 'event=0x54\n',
    'events/zz_new': 'event=0x55\n',
    'events/zz_new.unit': 'things\n',
    'format/event': 'config:0-7\n',
    'format/reason': 'config1:32-63\n',
  })
})

t.test('a VM that is added brings its events; no id moves', async t => {
  const { pmu, vms, vm } = machine({ events: ['io_exits', 'zz_new'] })
  const before = files(pmu)
  const other = new FakeVm({
    tgid: 2000,
    tids: [2001],
    source: new FakeSource({ events: ['exits', { name: 'io_exits', unit: 'late' }, 'aa_new'] }),
  })
  vms.add(other)
  t.same(files(pmu), { ...before, 'events/exits': 'event=0x00\n', 'events/aa_new': 'event=0x55\n' })
  vm.source.events = [...vm.source.events, { name: 'tlb_flush' }]
  vms.update(vm)
  t.equal(files(pmu)['events/tlb_flush_stat'], 'event=0x11\n')
  vms.remove(other)
  t.equal(files(pmu)['events/aa_new'], 'event=0x55\n', 'an event stays when its VM goes')
})

t.test('a VM that goes ends its events: the last count is folded in before its source is closed', async t => {
  const ended: PerfEvent[] = []
  const { vms, vm, pmu, source, first, second, count, open, read } = machine({
    sharing: true,
    exitEvents: events => ended.push(...events),
  })
  const [one, two, other, idle] = [count(), count(), count({ target: fakeTask(1002) }), open()]
  source.happen(first, 'exits', 3n)
  source.happen(second, 'exits', 4n)
  vms.remove(vm)
  source.close()
  t.equal(new Set(ended).size, 4)
  t.equal(ended.length, 4)
  t.same(
    [one, two, other, idle].map(event => event.count),
    [3n, 3n, 4n, 0n],
  )
  t.equal(source.isArmed(first, 'exits') || source.isArmed(second, 'exits'), false)
  t.equal(source.repeated, 0)

  const calls = source.configured.length
  source.happen(first, 'exits', 100n)
  source.isClosed = false
  t.equal(read(one), 3n, 'it stands still')
  pmu.start(idle, 0)
  t.equal(read(idle), 0n, 'nor does it start again')
  for (const event of [one, two, other, idle]) {
    pmu.del(event, PERF_EF_UPDATE)
    event.destroy?.(event)
  }
  t.equal(source.configured.length, calls, 'the source is left alone')
})

t.test('a vCPU that goes ends its own events alone', async t => {
  const ended: PerfEvent[] = []
  const { vms, vm, source, first, second, count, read } = machine({
    exitEvents: events => ended.push(...events),
  })
  const [one, other] = [count(), count({ target: fakeTask(1002) })]
  source.happen(first, 'exits', 3n)
  vm.vcpus = [second]
  vms.update(vm)
  source.happen(first, 'exits', 1n)
  source.happen(second, 'exits', 2n)
  t.equal(ended.length, 1)
  t.equal(ended[0], one)
  t.equal(read(one), 3n)
  t.equal(read(other), 2n)
})

t.test('a new VM on the thread ids of one that went starts afresh', async t => {
  const { vms, vm, count, read, source, first } = machine()
  const event = count()
  source.happen(first, 'exits', 3n)
  vms.remove(vm)
  const next = new FakeVm({ startTime: 200n })
  vms.add(next)
  next.source.set(next.vcpu(0), 'exits', 50n)
  const fresh = count({ target: fakeTask(1001, 1000, 200n) })
  next.source.happen(next.vcpu(0), 'exits', 2n)
  t.equal(read(event), 3n)
  t.equal(read(fresh), 2n)
})

t.test('an unregistered PMU follows the list of VMs no more', async t => {
  const { kvm, vms, pmu } = machine()
  kvm.unregister()
  vms.add(new FakeVm({ tgid: 2000, tids: [2001], source: new FakeSource({ events: ['io_exits'] }) }))
  t.notOk('events/io_exits' in files(pmu))
})
