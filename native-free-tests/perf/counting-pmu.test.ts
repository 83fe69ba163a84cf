/** PMUs that are made of functions: threadPmu(), cpuPmu() and machinePmu(). */
import t from 'tap'
import { ErrnoError, Failure, orThrow } from '../../src/abi/errno.js'
import { attrOf } from '../../src/abi/perf-event-attr.js'
import { type CountedEvent, cpuPmu, machinePmu, threadPmu } from '../../src/perf/counting-pmu.js'
import type { PerfEvent } from '../../src/perf/event.js'
import { perf_event_read_value } from '../../src/perf/event-file.js'
import { disable, enable } from '../../src/perf/lifecycle.js'
import type { Pmu } from '../../src/perf/pmu.js'
import { ROOT } from './support/fake-host.js'
import { Setup } from './support/setup.js'

/** A core with this PMU, and a way to open its events. */
function setup(pmu: Pmu) {
  const made = new Setup()
  const { type } = orThrow(made.registry.register(pmu))
  const open = (
    config: bigint,
    { pid = made.task.tid, cpu = -1, leader = undefined as PerfEvent | undefined, ...attr } = {},
  ) =>
    made.core.perf_event_open({
      attr: attrOf({ type, config, ...attr }),
      pid,
      cpu,
      group_fd: leader ?? -1,
      flags: 0n,
      caller: ROOT,
    })
  made.host.offline.add(2)
  return { open, task: made.task }
}

/** A statistic that a test moves. */
function statistic<Target>(name = 'one') {
  const state = { value: 100n as unknown, asked: [] as Target[] }
  const event: CountedEvent<Target> = {
    name,
    count(target) {
      state.asked.push(target)
      if (state.value instanceof Error) throw state.value
      return state.value as bigint
    },
  }
  return { state, event }
}

const count = (event: unknown) => perf_event_read_value(orThrow(event as never)).count

const files = ({ attr_groups }: Pmu) =>
  Object.fromEntries(
    attr_groups.flatMap(({ name, attrs }) => attrs.map(attr => [`${name ?? ''}/${attr.name}`, attr.show()])),
  )

t.test('a thread PMU counts what its function grows by while the event is enabled', async t => {
  const { state, event } = statistic<{ tid: number }>()
  const { open, task } = setup(threadPmu({ name: 'made', events: [event] }))
  const opened = orThrow(open(0n))
  t.equal(count(opened), 0n)
  state.value = 107n
  t.equal(count(opened), 7n)
  disable(opened)
  state.value = 1000n
  t.equal(count(opened), 7n, 'not while it is off')
  enable(opened)
  state.value = 1003n
  t.equal(count(opened), 10n)
  state.value = 2n
  t.equal(count(opened), 12n, 'one that went down counts from 0')
  t.ok(state.asked.every(({ tid }) => tid === task.tid))
})

t.test('a count that cannot be read makes the read EIO, and nothing is lost', async t => {
  const { state, event } = statistic()
  const { open, task } = setup(threadPmu({ name: 'made', events: [event] }))
  const opened = orThrow(open(0n))
  state.value = 105n
  t.equal(count(opened), 5n)
  for (const gone of [undefined, new ErrnoError('ENOENT'), new ErrnoError('ESRCH')]) {
    state.value = gone
    const message = 'Event "one" of PMU "made" cannot be read now'
    t.throws(() => count(opened), { code: 'EIO', message })
    t.equal(opened.stateName, 'error')
  }
  state.value = 106n
  t.equal(count(opened), 6n)
  t.equal(opened.stateName, 'active')

  state.value = undefined
  const late = orThrow(open(0n))
  t.equal(late.stateName, 'error')
  t.throws(() => count(late), { code: 'EIO' }, 'one that never could be read has no 0')
  state.value = 50n
  t.equal(count(late), 0n, 'it begins with the first value')
  state.value = 53n
  t.equal(count(late), 3n)

  state.value = new ErrnoError('ENOENT')
  task.isExited = true
  t.equal(count(late), 3n, 'the thread has ended: its last count stays')
  t.equal(late.stateName, 'exit')
})

t.test('a thread that ends while its count is read leaves the last count', async t => {
  const made = { value: 100n, onRead: () => undefined as unknown }
  const event = {
    name: 'one',
    count: () => {
      made.onRead()
      return made.value
    },
  }
  const { open, task } = setup(threadPmu({ name: 'made', events: [event] }))
  const opened = orThrow(open(0n))
  made.onRead = () => {
    task.isExited = true
    throw new ErrnoError('ESRCH')
  }
  t.equal(count(opened), 0n)
})

t.test('a function that throws or gives no bigint makes a read EIO', async t => {
  const { state, event } = statistic()
  const { open } = setup(threadPmu({ name: 'made', events: [event] }))
  const opened = orThrow(open(0n))
  for (const wrong of [new Error('on purpose'), 5, null]) {
    state.value = wrong
    t.throws(() => count(opened), { code: 'EIO' })
  }
  state.value = 101n
  t.equal(count(opened), 1n, 'and it goes on')
})

t.test('the files show ids by place, units and scales', async t => {
  const events = [
    { name: 'first', count: () => 0n },
    { name: 'second', unit: 'Bytes', scale: '0.5', count: () => 0n },
  ]
  t.strictSame(files(threadPmu({ name: 'made', events })), {
    'events/first': 'event=0x00\n',
    'events/second': 'event=0x01\n',
    'events/second.unit': 'Bytes\n',
    'events/second.scale': '0.5\n',
    'format/event': 'config:0-63\n',
  })
  t.strictSame(files(machinePmu({ name: 'made', events: events.slice(0, 1) })), {
    'events/first': 'event=0x00\n',
    'format/event': 'config:0-63\n',
    '/cpumask': '0\n',
  })
})

t.test('a list of events that perf could not name is refused', async t => {
  const event = (name: string) => ({ name, count: () => 0n })
  t.throws(() => threadPmu({ name: 'made', events: [event('a b')] }), { code: 'EINVAL', message: /"a b"/ })
  t.throws(() => threadPmu({ name: 'made', events: [event('event')] }), { code: 'EINVAL', message: /format/ })
  t.throws(() => threadPmu({ name: 'made', events: [event('a'), event('a')] }), { code: 'EINVAL' })
})

t.test('each kind of PMU refuses what it does not count', async t => {
  const event = { name: 'one', count: () => 0n }
  const refusals: readonly [Pmu, Parameters<ReturnType<typeof setup>['open']>, string | undefined][] = [
    [threadPmu({ name: 'made', events: [event] }), [0n], undefined],
    [threadPmu({ name: 'made', events: [event] }), [1n], 'EINVAL'],
    [threadPmu({ name: 'made', events: [event] }), [0n, { pid: -1, cpu: 0 }], 'EOPNOTSUPP'],
    [threadPmu({ name: 'made', events: [event] }), [0n, { cpu: 0 }], 'EOPNOTSUPP'],
    [cpuPmu({ name: 'made', events: [event] }), [0n], 'EINVAL'],
    [cpuPmu({ name: 'made', events: [event] }), [0n, { pid: -1, cpu: 1 }], undefined],
    [machinePmu({ name: 'made', events: [event] }), [0n], 'EINVAL'],
    [machinePmu({ name: 'made', events: [event] }), [0n, { pid: -1, cpu: 0 }], undefined],
    [machinePmu({ name: 'made', events: [event] }), [0n, { pid: -1, cpu: 1 }], undefined],
    [machinePmu({ name: 'made', events: [event] }), [0n, { pid: -1, cpu: 2 }], 'EINVAL'],
    [machinePmu({ name: 'made', events: [event] }), [0n, { pid: -1, cpu: 3 }], 'EINVAL'],
  ]
  for (const [pmu, args, errno] of refusals) {
    const opened = setup(pmu).open(...args)
    t.equal(opened instanceof Failure ? opened.code : undefined, errno, JSON.stringify([args[1], errno]))
  }
})

t.test('an event of a machine PMU is moved to its CPU before its group is looked at', async t => {
  const { open } = setup(machinePmu({ name: 'made', events: [{ name: 'one', count: () => 0n }] }))
  const [own, moved] = [0, 1].map(cpu => orThrow(open(0n, { pid: -1, cpu })))
  t.equal(moved?.cpu, 0)
  t.equal(moved?.ctx, own?.ctx)
  const joined = orThrow(open(0n, { pid: -1, cpu: 1, leader: own }))
  t.equal(joined.group_leader, own, 'a leader on another CPU of the package is on the same one')
})

t.test('a CPU PMU asks its function for the CPU of the event', async t => {
  const { state, event } = statistic<number>()
  const { open } = setup(cpuPmu({ name: 'made', events: [event] }))
  const opened = orThrow(open(0n, { pid: -1, cpu: 1 }))
  state.value = 103n
  t.equal(count(opened), 3n)
  t.ok(state.asked.every(cpu => cpu === 1))
})
