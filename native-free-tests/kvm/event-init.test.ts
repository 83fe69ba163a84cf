/** What event_init() refuses, with which errno and what advice, and in which order. */
import t from 'tap'
import { PERF_SAMPLE_BRANCH_STACK } from '../../src/abi/perf-event.js'
import { PerfEvent } from '../../src/perf/event.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { fakeTask, machine, refusal, type What } from './support/machine.js'

const helper = fakeTask(1003)
const stranger = fakeTask(4711, 4700)

const noVcpu = 'EINVAL: pid 4711 is not a vCPU thread; vCPU threads are listed in vms/'
const cpuWide = 'EOPNOTSUPP: the PMU counts threads, no CPUs; give the thread id of a vCPU, as listed in vms/'

const refusals: readonly [what: string, event: What, expected: string][] = [
  ["another PMU's type", { type: 1 }, 'ENOENT: type 1 is not that of the PMU "kvm"'],
  [
    'a branch stack',
    { sample_type: PERF_SAMPLE_BRANCH_STACK },
    'EINVAL: sample_type has BRANCH_STACK: the PMU takes no samples; leave it out',
  ],
  [
    'sampling',
    { sample_period: 1000n },
    'EINVAL: sample_period is 1000: the PMU takes no samples; set it to 0',
  ],
  ...(['exclude_user', 'exclude_kernel', 'exclude_hv', 'exclude_idle', 'exclude_guest'] as const).map(
    (flag): [string, What, string] => [
      flag,
      { [flag]: true },
      `EINVAL: ${flag} is set: a statistic does not tell modes apart; leave it out`,
    ],
  ),
  ['an event on a CPU', { target: undefined, cpu: 0 }, cpuWide],
  [
    'a thread on one CPU',
    { cpu: 2 },
    "EOPNOTSUPP: cpu is 2: which CPU a thread runs on cannot be followed from user space; set it to -1, or count a tracepoint's event",
  ],
  ['an id behind the last', { config: 0x1fn }, "EINVAL: event 0x1f is none of this PMU's; see its events/"],
  [
    'an id that no source brought',
    { config: 3n },
    "EINVAL: event 0x03 is none of this PMU's; see its events/",
  ],
  ['a thread of no VM', { target: stranger }, noVcpu],
  [
    "a vCPU's thread id on a later thread",
    { target: fakeTask(1001, 4700, 101n) },
    'EINVAL: pid 1001 is not a vCPU thread; vCPU threads are listed in vms/',
  ],
]

t.test('event_init() fails for', async t => {
  const { tryOpen, source } = machine({ events: ['exits', 'io_exits', 'signal_exits'] })
  for (const [what, event, expected] of refusals) t.equal(refusal(tryOpen(event)), expected, what)
  t.same(source.configured, [], 'nothing was armed')
})

t.test('event_init() checks in the order of the patch', async t => {
  const { tryOpen, open } = machine()
  open()
  const steps: readonly [mended: What, expected: string][] = [
    [{}, 'ENOENT'],
    [{ type: 4096 }, 'EINVAL: sample_type'],
    [{ sample_type: 0n }, 'EINVAL: sample_period'],
    [{ sample_period: 0n }, 'EINVAL: exclude_user'],
    [{ exclude_user: false }, 'EINVAL: exclude_kernel'],
    [{ exclude_kernel: false }, 'EINVAL: exclude_hv'],
    [{ exclude_hv: false }, 'EINVAL: exclude_idle'],
    [{ exclude_idle: false }, 'EINVAL: exclude_guest'],
    [{ exclude_guest: false }, 'EOPNOTSUPP: the PMU counts threads'],
    [{ target: stranger }, 'EOPNOTSUPP: cpu is 1'],
    [{ cpu: -1 }, 'EINVAL: event 0xff'],
    [{ config: 0n }, 'EINVAL: pid 4711'],
    [{ target: fakeTask(1001) }, 'EOPNOTSUPP: event 0x00 of vCPU thread 1001 is counted already'],
  ]
  let event: What = {
    type: 5,
    sample_type: PERF_SAMPLE_BRANCH_STACK,
    sample_period: 1n,
    exclude_user: true,
    exclude_kernel: true,
    exclude_hv: true,
    exclude_idle: true,
    exclude_guest: true,
    target: undefined,
    cpu: 1,
    config: 0xffn,
  }
  for (const [mended, expected] of steps) {
    event = { ...event, ...mended }
    t.match(refusal(tryOpen(event)), expected)
  }
})

t.test('event_init() takes what the patch takes', async t => {
  const { tryOpen } = machine({ sharing: true })
  const taken: readonly What[] = [
    {},
    { exclude_host: true },
    { inherit: true, disabled: true, enable_on_exec: true },
    { config1: 1n, config2: 2n, config3: 3n },
  ]
  for (const event of taken) t.equal(refusal(tryOpen(event)), 'not refused')
})

t.test('event_init() takes the id from bits 0 to 7 of config and ignores the others', async t => {
  const { count, source, first, read } = machine({ events: ['exits', 'io_exits'] })
  const event = count({ config: 0xffff_ffff_ffff_ff01n })
  source.happen(first, 'io_exits', 3n)
  source.happen(first, 'exits', 5n)
  t.equal(read(event), 3n)
})

t.test(
  'event_init() fails with EOPNOTSUPP for a pair that is counted, until that event is closed',
  async t => {
    const { open, tryOpen, close } = machine({ events: ['exits', 'io_exits'] })
    const event = open()
    const expected =
      'EOPNOTSUPP: event 0x00 of vCPU thread 1001 is counted already; close the other event first'
    t.equal(refusal(tryOpen()), expected)
    t.equal(refusal(tryOpen({ config: 1n })), 'not refused', 'another event')
    t.equal(refusal(tryOpen({ target: fakeTask(1002) })), 'not refused', 'another vCPU')
    close(event)
    t.equal(refusal(tryOpen()), 'not refused', 'free again')
  },
)

t.test('event_init() fails with EOPNOTSUPP for an event that this VM does not count', async t => {
  const { vms, tryOpen } = machine({ events: ['exits', 'io_exits'] })
  vms.add(new FakeVm({ tgid: 2000, tids: [2001] }))
  const result = tryOpen({ config: 1n, target: fakeTask(2001, 2000) })
  t.equal(refusal(result), 'EOPNOTSUPP: the VM of vCPU thread 2001 does not count event 0x01')
})

t.test("a thread of a VM's process that runs no vCPU counts 0", async t => {
  const { count, close, read, source, first } = machine()
  const [event, main] = [count({ target: helper }), count({ target: fakeTask(1000) })]
  const again = count({ target: helper })
  source.happen(first, 'exits', 7n)
  t.equal(read(event), 0n)
  t.equal(read(again), 0n, 'there is nothing to share')
  t.same(source.configured, [], 'nothing was armed')
  for (const one of [event, main, again]) close(one)
})

t.test("a thread of a VM's process that runs no vCPU is refused with strict", async t => {
  const { tryOpen } = machine({ strict: true })
  const expected = 'EINVAL: pid 1003 is not a vCPU thread; vCPU threads are listed in vms/'
  t.equal(refusal(tryOpen({ target: helper })), expected)
  t.ok(tryOpen() instanceof PerfEvent)
})

t.test('event_init() fails with ENOENT once the PMU is unregistered', async t => {
  const { kvm, tryOpen } = machine()
  kvm.unregister()
  t.match(refusal(tryOpen()), 'ENOENT: type 4096')
})
