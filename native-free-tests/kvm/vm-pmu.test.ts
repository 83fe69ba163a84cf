/** The PMU `kvm_vm`: what it refuses, what it sums up, and VMs and vCPUs that come and go, under the perf core. */
import t from 'tap'
import { Failure, orThrow } from '../../src/abi/errno.js'
import { PERF_EVENT_IOC_DISABLE, PERF_EVENT_IOC_ENABLE } from '../../src/abi/perf-event.js'
import { attrOf, type perf_event_attr } from '../../src/abi/perf-event-attr.js'
import { Arming } from '../../src/kvm/arming.js'
import { KvmPmu } from '../../src/kvm/kvm-pmu.js'
import type { CountSource, Vcpu } from '../../src/kvm/vm.js'
import { VmList } from '../../src/kvm/vm-list.js'
import { VmPmu } from '../../src/kvm/vm-pmu.js'
import { PerfCore } from '../../src/perf/core.js'
import type { PerfEvent } from '../../src/perf/event.js'
import { perf_ioctl, perf_read, perf_release } from '../../src/perf/event-file.js'
import type { Refresher } from '../../src/perf/pmu.js'
import { PmuRegistry } from '../../src/perf/registry.js'
import { ComposedSource } from '../../src/sources/composed-source.js'
import { FakeRefresher } from '../../src/sources/fake/fake-refresher.js'
import { FakeSource, type FakeSourceOptions } from '../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { FakeWhole } from '../../src/sources/fake/fake-whole.js'
import { fakeHost, fakeTask } from './support/fake-host.js'
import { refusal } from './support/machine.js'

const KVM = 4096
const KVM_VM = 4097
/** The CPU that cpumask shows. */
const CPU = 1
const caller = { uid: 0, gid: 0, tid: 1 }
const flushes = 45n

interface MachineOptions extends FakeSourceOptions {
  readonly whole?: FakeWhole
  readonly scanRefresher?: Refresher
}

type What = Partial<perf_event_attr> & { pid?: number; cpu?: number }

/** A VM of process 1000 whose vCPUs 0 and 1 run on threads 1001 and 1002, and both PMUs, wired as the program does. */
function machine({ whole, scanRefresher, ...options }: MachineOptions = {}) {
  const registry = new PmuRegistry()
  const vms = new VmList()
  const source = new FakeSource({ events: ['exits', 'io_exits'], ...options })
  const vm = new FakeVm({ source, ...(whole && { whole }) })
  vms.add(vm)
  const clock = { ticks: 500n }
  const shared = {
    arming: new Arming(),
    exitEvents: (events: readonly PerfEvent[]) => core.exitEvents(events),
    ...(scanRefresher && { scanRefresher }),
  }
  const kvm = new KvmPmu(registry, vms, { ...shared, sharing: true })
  const pmu = new VmPmu(registry, { ...shared, vms, cpu: () => CPU, startTimeNow: () => clock.ticks })
  const tasks = [1000, 1001, 1002, 1003].map(tid => fakeTask(tid))
  tasks.push(fakeTask(2000, 2000), fakeTask(4711, 4700))
  const core: PerfCore = new PerfCore(fakeHost(tasks), registry)
  const tryOpen = ({ pid = -1, cpu = pid === -1 ? CPU : -1, ...attr }: What = {}) =>
    core.perf_event_open({
      attr: attrOf({ type: KVM_VM, ...(pid === -1 && { config1: 1000n }), ...attr }),
      pid,
      cpu,
      group_fd: -1,
      flags: 0n,
      caller,
    })
  const open = (what: What = {}): PerfEvent => orThrow(tryOpen(what))
  return { registry, vms, vm, source, kvm, pmu, core, tasks, clock, tryOpen, open }
}

function read(event: PerfEvent): bigint {
  const bytes = perf_read(event, 8)
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)
}

const ioctl = (event: PerfEvent, cmd: number): void => {
  perf_ioctl(event, { cmd, arg: 0n, input: new Uint8Array() })
}

/** The PMU's attribute files: path and text. */
const files = (pmu: VmPmu): Record<string, string> =>
  Object.fromEntries(
    pmu.attr_groups.flatMap(({ name = '.', attrs }) =>
      attrs.map(attr => [`${name}/${attr.name}`, attr.show()]),
    ),
  )

t.test('the PMU is registered beside the host PMU, with its terms and one CPU in cpumask', async t => {
  const { registry, pmu, kvm, vms } = machine({ whole: new FakeWhole(['remote_tlb_flush']) })
  t.equal(registry.typeOf(pmu), KVM_VM)
  t.equal(pmu.capabilities, 1, 'PERF_PMU_CAP_NO_INTERRUPT')
  t.same(files(pmu), {
    'events/exits': 'event=0x00\n',
    'events/io_exits': 'event=0x01\n',
    'events/remote_tlb_flush': 'event=0x2d\n',
    'format/event': 'config:0-7\n',
    'format/vm': 'config1:0-31\n',
    'format/reason': 'config1:32-63\n',
    'format/bucket': 'config2:0-7\n',
    './cpumask': '1\n',
  })
  const options = { vms, arming: new Arming(), cpu: () => 0, startTimeNow: () => 0n }
  t.throws(() => new VmPmu(registry, options), { code: 'EEXIST' })
  pmu.unregister()
  kvm.unregister()
  t.same(registry.list(), [])
})

const refusals: readonly [what: string, event: What, expected: string][] = [
  ['sampling', { sample_period: 9n }, 'EINVAL: sample_period is 9: the PMU takes no samples; set it to 0'],
  [
    'exclude_guest',
    { exclude_guest: true },
    'EINVAL: exclude_guest is set: a statistic does not tell modes apart; leave it out',
  ],
  ['another CPU', { cpu: 0 }, 'EINVAL: cpu is 0: whole VMs are counted on CPU 1 alone, as cpumask says'],
  [
    'no vm',
    { config1: 0n },
    'EINVAL: vm is missing: name the VM by the process id of its VMM, as vms/*/pid has it: vm=PID',
  ],
  [
    'a process without VMs',
    { config1: 4700n },
    'EINVAL: process 4700 runs no VM that can be counted; vms/*/pid lists those that do',
  ],
  [
    'a thread without VMs',
    { pid: 4711 },
    'EINVAL: process 4700 runs no VM that can be counted; vms/*/pid lists those that do',
  ],
  [
    'a thread of another process than vm',
    { pid: 1000, config1: 2000n },
    'EINVAL: vm is 2000: thread 1000 belongs to process 1000; give vm=1000 or leave vm out',
  ],
  [
    'a thread on one CPU',
    { pid: 1000, cpu: 1 },
    'EOPNOTSUPP: cpu is 1: a VM runs on every CPU; set it to -1, or leave the thread out and give vm=1000',
  ],
  ['an unknown id', { config: 0x99n }, "EINVAL: event 0x99 is none of this PMU's; see its events/"],
  [
    'an id that no source brought',
    { config: flushes },
    "EINVAL: event 0x2d is none of this PMU's; see its events/",
  ],
]

t.test('event_init() fails for', async t => {
  const { tryOpen, source, core } = machine()
  for (const [what, event, expected] of refusals) t.equal(refusal(tryOpen(event)), expected, what)
  t.same(source.configured, [], 'nothing was armed')
  t.equal(core.eventCount, 0)
})

t.test('event_init() fails with EOPNOTSUPP where one VM of the process lacks the statistic', async t => {
  const { vms, tryOpen } = machine({ whole: new FakeWhole(['remote_tlb_flush']) })
  t.equal(refusal(tryOpen({ config: flushes })), 'not refused')
  vms.add(new FakeVm({ name: 'second', tids: [1003] }))
  const expected = 'EOPNOTSUPP: a VM of process 1000 does not count "remote_tlb_flush"'
  t.equal(refusal(tryOpen({ config: flushes })), expected)
})

t.test('bits of config1 and config2 outside the terms are ignored', async t => {
  const { open, source, vm } = machine()
  const event = open({ config1: (7n << 32n) | 1000n, config2: 5n })
  source.happen(vm.vcpu(0), 'exits')
  t.equal(read(event), 1n)
})

t.test('an event counts the sum over the vCPUs, on the CPU and on the main thread alike', async t => {
  const { open, source, vm } = machine()
  source.set(vm.vcpu(0), 'exits', 100n)
  const events = [open(), open({ pid: 1000 }), open({ pid: 1000, config1: 1000n })]
  source.happen(vm.vcpu(0), 'exits', 3n)
  source.happen(vm.vcpu(1), 'exits', 4n)
  source.happen(vm.vcpu(1), 'io_exits', 9n)
  for (const event of events) t.equal(read(event), 7n)
  for (const event of events) perf_release(event)
  t.equal(source.isArmed(vm.vcpu(0), 'exits') || source.isArmed(vm.vcpu(1), 'exits'), false)
  t.equal(source.repeated, 0)
})

t.test("the VMM's other threads count 0, so that its threads together count the VM once", async t => {
  const { open, source, vm } = machine()
  const events = [1000, 1001, 1002, 1003].map(pid => open({ pid }))
  source.happen(vm.vcpu(0), 'exits', 3n)
  t.same(events.map(read), [3n, 0n, 0n, 0n])
})

t.test('a sum equals the counts of the host PMU, and neither disarms the other', async t => {
  const { open, source, vm } = machine({ armedOnly: true })
  const whole = open()
  const parts = [1001, 1002].map(pid => open({ type: KVM, pid }))
  source.happen(vm.vcpu(0), 'exits', 3n)
  source.happen(vm.vcpu(1), 'exits', 4n)
  t.equal(read(whole), 7n)
  t.same(parts.map(read), [3n, 4n])
  for (const part of parts) perf_release(part)
  source.happen(vm.vcpu(0), 'exits', 1n)
  t.equal(read(whole), 8n, 'it is still armed')
  const again = open({ type: KVM, pid: 1001 })
  perf_release(whole)
  source.happen(vm.vcpu(0), 'exits', 2n)
  t.equal(read(again), 2n, 'and so is this')
  perf_release(again)
  t.equal(source.isArmed(vm.vcpu(0), 'exits'), false)
  t.equal(source.repeated, 0)
})

t.test('a reason is summed by itself, beside the term vm in config1', async t => {
  const exitReason = (name: string, value: number) => ({ name, reason: { of: 'kvm_exit_reason', value } })
  const events = ['exits', exitReason('exit_hlt', 12), exitReason('exit_io', 30)]
  const { open, tryOpen, pmu, source, vm } = machine({ events, armedOnly: true })
  t.equal(files(pmu)['events/exit_hlt'], 'event=0x3b,reason=0xc\n')
  const of = (reason: bigint) => ({ config: 0x3bn, config1: (reason << 32n) | 1000n })
  const [halts, outputs] = [open(of(12n)), open(of(30n))]
  source.happen(vm.vcpu(0), 'exit_hlt', 3n)
  source.happen(vm.vcpu(1), 'exit_hlt', 4n)
  source.happen(vm.vcpu(1), 'exit_io', 5n)
  t.same([halts, outputs].map(read), [7n, 5n])
  t.equal(refusal(tryOpen(of(31n))), "EINVAL: event 0x3b has no reason 0x1f; see the PMU's events/")
})

t.test('a sum takes each vCPU from the source that counts it there, and refreshes no other', async t => {
  const refresher = new FakeRefresher()
  const [first, second] = [
    new FakeSource({ events: ['exits'], refresher }),
    new FakeSource({ events: ['exits', 'kvm_pio'], armedOnly: true }),
  ]
  const counts = Object.assign(first, {
    canCount: ({ id }: Vcpu, event: string) => event === 'exits' && id === 0,
  })
  const { open, pmu, vms } = machine()
  const source: CountSource = new ComposedSource([counts, second])
  const vm = Object.assign(new FakeVm({ tgid: 2000, tids: [2001, 2002] }), { source })
  vms.add(vm)
  const [exits, pio] = [open({ config1: 2000n }), open({ config: 0x40n, config1: 2000n })]
  first.happen(vm.vcpu(0), 'exits', 3n)
  second.happen(vm.vcpu(0), 'exits', 50n)
  second.happen(vm.vcpu(1), 'exits', 4n)
  second.happen(vm.vcpu(1), 'kvm_pio', 5n)
  t.same([exits, pio].map(read), [7n, 5n])
  t.equal(pmu.eventRefresher(exits), refresher)
  t.equal(pmu.eventRefresher(pio), undefined)
})

t.test('event_init() fails with EOPNOTSUPP where a vCPU of the VM is counted by no source', async t => {
  const { vms, tryOpen } = machine()
  const source = Object.assign(new FakeSource(), { canCount: ({ id }: Vcpu) => id === 0 })
  vms.add(new FakeVm({ tgid: 2000, tids: [2001, 2002], source }))
  const expected = 'EOPNOTSUPP: a VM of process 2000 does not count "exits"'
  t.equal(refusal(tryOpen({ config1: 2000n })), expected)
})

t.test('what happens while an event is disabled is not counted', async t => {
  const { open, source, vm } = machine()
  const event = open({ disabled: true })
  source.happen(vm.vcpu(0), 'exits', 3n)
  ioctl(event, PERF_EVENT_IOC_ENABLE)
  source.happen(vm.vcpu(0), 'exits', 4n)
  ioctl(event, PERF_EVENT_IOC_DISABLE)
  source.happen(vm.vcpu(0), 'exits', 5n)
  t.equal(read(event), 4n)
})

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
  t.equal(read(event), 34n)
  source.isReadable = true
  source.happen(vm.vcpu(1), 'exits', 1n)
  t.equal(read(event), 35n)
})

t.test('a statistic of the VM itself is read from there', async t => {
  const whole = new FakeWhole(['remote_tlb_flush', 'exits'])
  const { open, source, vm } = machine({ whole })
  whole.counts.set('remote_tlb_flush', 8n).set('exits', 70n)
  const [event, exits] = [open({ config: flushes }), open()]
  whole.counts.set('remote_tlb_flush', 10n).set('exits', 99n)
  source.happen(vm.vcpu(0), 'exits')
  t.equal(read(event), 2n)
  t.equal(read(exits), 1n, 'the sum over vCPUs comes first')
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

t.test('a bucket of a histogram is an event of its own, the bucket a term that must be there', async t => {
  const registry = new PmuRegistry()
  const vms = new VmList()
  const histograms = [
    { name: 'halt_wait_hist', buckets: 32 },
    { name: 'wide_hist', buckets: 257 },
  ]
  const vm = new FakeVm({ source: Object.assign(new FakeSource(), { histograms }) })
  vms.add(vm)
  const pmu = new VmPmu(registry, { vms, arming: new Arming(), cpu: () => CPU, startTimeNow: () => 0n })
  t.equal(files(pmu)['events/halt_wait_hist'], 'event=0x37,bucket=?\n')
  t.notOk('events/wide_hist' in files(pmu), 'the term has 8 bits')
  const core = new PerfCore(fakeHost(), registry)
  const tryOpen = (config2: bigint) =>
    core.perf_event_open({
      attr: attrOf({ type: KVM, config: 0x37n, config1: 1000n, config2 }),
      pid: -1,
      cpu: CPU,
      group_fd: -1,
      flags: 0n,
      caller,
    })
  const expected = 'EINVAL: bucket is 32: event 0x37, "halt_wait_hist", has 0 to 31'
  t.equal(refusal(tryOpen(32n)), expected)
  const [first, last] = [orThrow(tryOpen(0n)), orThrow(tryOpen(31n))]
  vm.source.happen(vm.vcpu(0), 'halt_wait_hist[31]', 2n)
  vm.source.happen(vm.vcpu(1), 'halt_wait_hist[31]', 3n)
  t.same([read(first), read(last)], [0n, 5n])
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
