/** The PMU `kvm_vm`: what it is, what it refuses, and what it sums up, under the perf core. */
import t from 'tap'
import { orThrow } from '../../src/abi/errno.js'
import { PERF_EVENT_IOC_DISABLE, PERF_EVENT_IOC_ENABLE } from '../../src/abi/perf-event.js'
import { attrOf } from '../../src/abi/perf-event-attr.js'
import { Arming } from '../../src/kvm/arming.js'
import type { CountSource, Vcpu } from '../../src/kvm/vm.js'
import { VmList } from '../../src/kvm/vm-list.js'
import { VmPmu } from '../../src/kvm/vm-pmu.js'
import { PerfCore } from '../../src/perf/core.js'
import { perf_release } from '../../src/perf/event-file.js'
import { PmuRegistry } from '../../src/perf/registry.js'
import { ComposedSource } from '../../src/sources/composed-source.js'
import { FakeRefresher } from '../../src/sources/fake/fake-refresher.js'
import { FakeSource } from '../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { FakeWhole } from '../../src/sources/fake/fake-whole.js'
import { fakeHost } from './support/fake-host.js'
import { refusal } from './support/machine.js'
import {
  CPU,
  caller,
  files,
  flushes,
  ioctl,
  KVM,
  KVM_VM,
  machine,
  read,
  type What,
} from './support/vm-machine.js'

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

t.test('an event on another CPU of the package is moved, and counts the same', async t => {
  const { open, source, vm } = machine()
  const [own, moved] = [open(), open({ cpu: 0 })]
  t.equal(moved.cpu, CPU)
  t.equal(moved.ctx, own.ctx)
  for (const id of [0, 1]) source.happen(vm.vcpu(id), 'exits')
  t.strictSame([read(own), read(moved)], [2n, 2n])
})

const refusals: readonly [what: string, event: What, expected: string][] = [
  ['sampling', { sample_period: 9n }, 'EINVAL: sample_period is 9: the PMU takes no samples; set it to 0'],
  [
    'exclude_guest',
    { exclude_guest: true },
    'EINVAL: exclude_guest is set: a statistic does not tell modes apart; leave it out',
  ],
  [
    'a CPU of another package',
    { cpu: 2 },
    'EINVAL: cpu is 2: PMU "kvm_vm" counts on CPU 1, as cpumask says, and on online CPUs of its package',
  ],
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

t.test(
  'event_init() fails with EINVAL on a term that has no effect; bits outside the terms are ignored',
  async t => {
    const { open, tryOpen, source, vm } = machine()
    const refused = (term: string, value: number) =>
      `EINVAL: ${term} is ${value}, but event 0x00 has none: leave the term "${term}" out`
    t.equal(refusal(tryOpen({ config1: (7n << 32n) | 1000n })), refused('reason', 7))
    t.equal(refusal(tryOpen({ config2: 5n })), refused('bucket', 5))
    const event = open({ config1: 1000n, config2: 5n << 8n })
    source.happen(vm.vcpu(0), 'exits')
    t.equal(read(event), 1n)
  },
)

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
    new FakeSource({ events: ['exits', 'trace_kvm_pio'], armedOnly: true }),
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
  second.happen(vm.vcpu(1), 'trace_kvm_pio', 5n)
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
