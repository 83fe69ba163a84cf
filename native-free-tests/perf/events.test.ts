import t from 'tap'
import { Failure } from '../../src/abi/errno.js'
import { POLLERR, POLLHUP } from '../../src/abi/fs.js'
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_FORMAT_GROUP,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
  PERF_IOC_FLAG_GROUP,
} from '../../src/abi/perf-event.js'
import type { PerfEvent } from '../../src/perf/event.js'
import {
  perf_event_read_value,
  perf_ioctl,
  perf_poll,
  perf_read,
  perf_release,
} from '../../src/perf/event-file.js'
import { perf_event_overflow } from '../../src/perf/lifecycle.js'
import { Setup, values } from './support/setup.js'

const times = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING
const none = new Uint8Array(0)
const enable = (event: PerfEvent, arg = 0n) =>
  perf_ioctl(event, { cmd: PERF_EVENT_IOC_ENABLE, arg, input: none })
const disable = (event: PerfEvent, arg = 0n) =>
  perf_ioctl(event, { cmd: PERF_EVENT_IOC_DISABLE, arg, input: none })
const states = (...events: readonly PerfEvent[]) => events.map(event => event.stateName)

t.test('an event counts while it is enabled, over the time that its thread runs', async t => {
  const setup = new Setup()
  const event = setup.open({ attr: { disabled: true, read_format: times } })
  setup.pmu.tick(0n, 5n)
  setup.run(10n)
  t.same(values(event), [0n, 0n, 0n])
  t.equal(event.stateName, 'off')
  enable(event)
  setup.pmu.tick(0n, 7n)
  setup.run(100n)
  t.same(values(event), [7n, 100n, 100n])
  t.equal(event.stateName, 'active')
  disable(event)
  setup.pmu.tick(0n, 11n)
  setup.run(1000n)
  t.same(values(event), [7n, 100n, 100n])
  enable(event)
  enable(event)
  setup.pmu.tick(0n)
  setup.run(1n)
  t.same(values(event), [8n, 101n, 101n], 'the count goes on, and enabling twice counts once')
})

t.test('a change of state happens at one moment of a clock that never stands still', async t => {
  const setup = new Setup()
  setup.task.runtime = () => {
    setup.run(1n)
    return setup.task.time
  }
  const event = setup.open({ attr: { disabled: true, read_format: times } })
  const [, ...atFirst] = values(event)
  t.same(atFirst, [0n, 0n])
  for (let round = 0; round < 3; round += 1) {
    enable(event)
    const [, enabled, running] = values(event)
    t.equal(running, enabled, 'enabled')
    disable(event)
    const [, enabledThen, runningThen] = values(event)
    t.equal(runningThen, enabledThen, 'disabled')
  }
  const atOpen = setup.open({ attr: { read_format: times } })
  const [, fromOpen, ran] = values(atOpen)
  t.equal(ran, fromOpen, 'enabled as it was opened')
  enable(event)
  setup.task.isExited = true
  const [, enabled, running] = values(event)
  t.equal(running, enabled, 'exited')
})

t.test("a CPU's event counts over the wall clock", async t => {
  const setup = new Setup()
  const event = setup.open({ pid: -1, cpu: 1, attr: { read_format: times } })
  setup.host.time += 30n
  setup.pmu.tick(0n, 2n)
  t.same(values(event), [2n, 30n, 30n])
})

t.test('a count wraps at 2^64, and time never steps back', async t => {
  const setup = new Setup()
  const event = setup.open({ attr: { read_format: times } })
  event.count = (1n << 64n) - 1n
  setup.pmu.tick(0n, 3n)
  setup.run(10n)
  t.same(values(event), [2n, 10n, 10n])
  setup.task.time -= 5n
  t.same(values(event), [2n, 10n, 10n])
  setup.task.time += 6n
  t.same(values(event), [2n, 11n, 11n])
})

t.test(
  'an event on a thread and a CPU is enabled all the time and runs while the thread is there',
  async t => {
    const setup = new Setup()
    const event = setup.open({ cpu: 2, attr: { read_format: times } })
    setup.run(10n)
    setup.pmu.tick(0n, 5n)
    t.same(values(event), [0n, 10n, 0n])
    t.equal(event.stateName, 'inactive')
    setup.task.onCpu = 2
    t.same(values(event), [0n, 10n, 0n])
    t.equal(event.stateName, 'active')
    setup.pmu.tick(0n, 3n)
    setup.run(4n)
    t.same(values(event), [3n, 14n, 4n])
  },
)

t.test('a leader that is off stops its group, whose members keep their own state', async t => {
  const setup = new Setup()
  const leader = setup.open({ attr: { disabled: true, read_format: times } })
  const follower = setup.open({ group_fd: leader, attr: { config: 1n, read_format: times } })
  const sleeper = setup.open({ group_fd: leader, attr: { config: 2n, disabled: true, read_format: times } })
  const tick = () => {
    for (const config of [0n, 1n, 2n]) setup.pmu.tick(config)
    setup.run(10n)
  }
  tick()
  t.same(states(leader, follower, sleeper), ['off', 'inactive', 'off'])
  t.same(values(follower), [0n, 0n, 0n], 'no time runs while the leader is off')
  enable(leader)
  tick()
  t.same(states(leader, follower, sleeper), ['active', 'active', 'off'])
  t.same(
    [leader, follower, sleeper].map(event => values(event)),
    [
      [1n, 10n, 10n],
      [1n, 10n, 10n],
      [0n, 0n, 0n],
    ],
  )
  disable(leader)
  tick()
  t.same(states(leader, follower, sleeper), ['off', 'inactive', 'off'])
  t.same(values(follower), [1n, 10n, 10n])
  enable(sleeper, PERF_IOC_FLAG_GROUP)
  tick()
  t.same(states(leader, follower, sleeper), ['active', 'active', 'active'])
  t.same(values(sleeper), [1n, 10n, 10n], "the group flag on a sibling's descriptor means the whole group")
  disable(follower, 0xfen)
  t.same(states(leader, follower, sleeper), ['active', 'off', 'active'], 'bit 0 alone is the group flag')
})

t.test('closing a leader leaves its siblings to count on their own', async t => {
  const setup = new Setup()
  const read_format = PERF_FORMAT_GROUP | times
  const leader = setup.open({ attr: { disabled: true, read_format } })
  const a = setup.open({ group_fd: leader, attr: { config: 1n, read_format } })
  const b = setup.open({ group_fd: leader, attr: { config: 2n, read_format, disabled: true } })
  setup.run(50n)
  t.same(values(a), [3n, 0n, 0n, 0n, 0n, 0n])
  perf_release(leader)
  t.equal(leader.stateName, 'dead')
  t.same(states(a, b), ['active', 'off'])
  setup.pmu.tick(1n, 4n)
  setup.run(10n)
  t.same(values(a), [1n, 10n, 10n, 4n])
  t.same(values(b), [1n, 0n, 0n, 0n])
  perf_release(a)
  perf_release(b)
  t.equal(setup.task.references, 0)
  t.equal(setup.core.eventCount, 0)
  t.equal(setup.pmu.placed.size, 0)
  perf_release(b)
  t.equal(setup.task.references, 0, 'a second close does nothing')
})

t.test(
  'a hardware PMU has room for some: pinned first, then in order, and none passes one that waits',
  async t => {
    const setup = new Setup({ task_ctx_nr: 'perf_hw_context', slots: 2 })
    const software = setup.register({ name: 'sw' })
    const first = setup.open({ attr: { read_format: times } })
    const pair = setup.open()
    const pairSibling = setup.open({ group_fd: pair })
    t.same(
      states(first, pair, pairSibling),
      ['active', 'inactive', 'inactive'],
      'a group goes on whole or not at all',
    )
    const last = setup.open()
    t.equal(last.stateName, 'inactive', 'none passes a group that waits, though there were room')
    const sw = setup.open({ attr: { type: software.type } })
    t.equal(sw.stateName, 'active', 'a software event always has room')
    const pinned = setup.open({ attr: { pinned: true } })
    const pinned2 = setup.open({ attr: { pinned: true } })
    t.same(
      states(pinned, pinned2, first),
      ['active', 'active', 'inactive'],
      'pinned events push flexible ones off',
    )
    setup.run(5n)
    t.same(values(first).slice(1), [5n, 0n], 'it stays enabled while it does not run')
    const pinned3 = setup.open({ attr: { pinned: true } })
    t.equal(pinned3.stateName, 'error')
    t.equal(perf_read(pinned3, 0).length, 0, 'reading it gives nothing, before ENOSPC')
    t.equal(perf_poll(pinned3), POLLERR)
    enable(pinned3)
    t.equal(pinned3.stateName, 'error', 'enabling tries again')
    disable(pinned)
    enable(pinned3)
    t.equal(pinned3.stateName, 'active')
    perf_release(pinned2)
    perf_release(pinned3)
    t.same(states(first, pair), ['active', 'inactive'], 'room that becomes free is used')
    perf_release(first)
    t.same(states(pair, pairSibling, last), ['active', 'active', 'inactive'])
    t.equal(setup.pmu.placed.size, 2)
  },
)

t.test('an exclusive group has the hardware PMU for itself', async t => {
  const setup = new Setup({ task_ctx_nr: 'perf_hw_context' })
  const alone = setup.open({ attr: { exclusive: true } })
  const other = setup.open()
  t.same(states(alone, other), ['active', 'inactive'])
  perf_release(alone)
  t.equal(other.stateName, 'active')
  t.equal(setup.open({ attr: { exclusive: true } }).stateName, 'inactive')
})

t.test('the PMU sees the callbacks in the order of the kernel', async t => {
  const setup = new Setup()
  const event = setup.open()
  perf_event_read_value(event)
  perf_release(event)
  t.same(setup.pmu.log, [
    'event_init',
    'start_txn(1)',
    'pmu_disable',
    'add',
    'start',
    'pmu_enable',
    'commit_txn',
    'read',
    'pmu_disable',
    'stop',
    'del',
    'pmu_enable',
    'destroy',
  ])
  setup.pmu.log.length = 0
  const leader = setup.open({ attr: { read_format: PERF_FORMAT_GROUP } })
  setup.open({ group_fd: leader })
  setup.pmu.log.length = 0
  values(leader)
  t.same(setup.pmu.log, ['start_txn(2)', 'read', 'read', 'commit_txn'], 'a group is read as one transaction')
})

t.test('a callback that throws leaves the lists as they should be', async t => {
  for (const callback of ['add', 'del', 'start_txn(1)', 'pmu_disable', 'destroy']) {
    const setup = new Setup()
    setup.pmu.throwsIn = callback
    const event = setup.open({ attr: { read_format: times } })
    setup.run(3n)
    if (callback === 'add') t.throws(() => values(event), { code: 'EIO' }, 'it has no 0')
    else values(event)
    t.equal(event.total_time_enabled, 3n, `${callback}: time runs`)
    disable(event)
    enable(event)
    perf_release(event)
    t.equal(setup.core.eventCount, 0, `${callback}: nothing is left`)
    t.equal(setup.task.references, 0, `${callback}: the thread is released`)
  }
})

t.test('a read fails with EIO where the PMU throws, alone or in a group', async t => {
  for (const read_format of [times, times | PERF_FORMAT_GROUP]) {
    const setup = new Setup()
    const event = setup.open({ attr: { read_format } })
    setup.pmu.throwsIn = 'read'
    setup.run(3n)
    t.throws(() => values(event), { code: 'EIO' })
    t.equal(setup.pmu.log.includes('cancel_txn'), read_format !== times, 'a transaction is ended')
    setup.pmu.throwsIn = undefined
    setup.run(4n)
    t.ok(values(event).includes(7n), 'time runs')
    perf_release(event)
    t.equal(setup.core.eventCount, 0)
  }
})

t.test('when the thread exits its events keep their last values', async t => {
  const setup = new Setup()
  const read_format = PERF_FORMAT_GROUP | times
  const leader = setup.open({ attr: { read_format } })
  const sibling = setup.open({ group_fd: leader, attr: { config: 1n, read_format } })
  setup.pmu.tick(0n, 3n)
  setup.pmu.tick(1n, 4n)
  setup.run(7n)
  let woken = 0
  t.equal(
    perf_poll(leader, () => woken++),
    POLLHUP,
  )
  setup.task.isExited = true
  setup.core.taskExited(setup.task)
  t.equal(woken, 1)
  setup.pmu.tick(0n, 100n)
  t.same(states(leader, sibling), ['exit', 'exit'])
  t.same(values(sibling), [2n, 7n, 7n, 3n, 4n])
  t.equal(perf_poll(leader), POLLHUP)
  t.equal(enable(leader).result, 0, 'ENABLE succeeds and does nothing')
  t.equal(disable(leader, PERF_IOC_FLAG_GROUP).result, 0)
  t.same(states(leader, sibling), ['exit', 'exit'])
  t.equal(setup.pmu.log.filter(entry => entry === 'destroy').length, 0)
  perf_release(leader)
  t.same(values(sibling), [1n, 7n, 7n, 4n])
  perf_release(sibling)
  t.equal(setup.pmu.log.filter(entry => entry === 'destroy').length, 2)
  t.equal(setup.task.references, 0)
})

t.test('an exit that nobody has told of is seen at the next use', async t => {
  for (const use of [perf_event_read_value, perf_poll, disable, (event: PerfEvent) => perf_read(event, 8)]) {
    const setup = new Setup()
    const event = setup.open()
    setup.task.isExited = true
    use(event)
    t.equal(event.stateName, 'exit')
    t.equal(setup.pmu.placed.size, 0)
  }
})

t.test('execve(2) enables once what waits for it and ends what must not survive', async t => {
  const setup = new Setup()
  const waiting = setup.open({ attr: { disabled: true, enable_on_exec: true } })
  const ending = setup.open({ attr: { remove_on_exec: true } })
  const plain = setup.open({ attr: { disabled: true } })
  setup.core.taskExeced(setup.task)
  t.same(states(waiting, ending, plain), ['active', 'exit', 'off'])
  disable(waiting)
  setup.core.taskExeced(setup.task)
  t.equal(waiting.stateName, 'off')
})

t.test('unregistering a PMU revokes its events; their descriptors stay', async t => {
  const setup = new Setup()
  const stays = setup.register({ name: 'stays' })
  const read_format = PERF_FORMAT_GROUP | times
  const leader = setup.open({ attr: { read_format } })
  const sibling = setup.open({ group_fd: leader, attr: { config: 1n, read_format } })
  const foreign = setup.open({ group_fd: leader, attr: { type: stays.type, read_format } })
  const exited = setup.open({ pid: 1 })
  setup.core.exitEvents([exited])
  setup.pmu.tick(0n, 3n)
  setup.pmu.tick(1n, 4n)
  setup.run(9n)
  let woken = 0
  perf_poll(leader, () => woken++)
  const seen: boolean[] = []
  leader.destroy = () => {
    seen.push(setup.registry.byName('fake') === undefined)
    setup.pmu.log.push('destroy')
  }
  t.equal(setup.registry.unregister(setup.pmu), undefined)
  t.same(seen, [true], 'it is hidden before its events go')
  t.equal(woken, 1)
  t.same(states(leader, sibling, exited, foreign), ['revoked', 'revoked', 'revoked', 'active'])
  t.equal(setup.pmu.log.filter(entry => entry === 'destroy').length, 3)
  setup.pmu.tick(0n, 50n)
  t.same(values(leader), [1n, 9n, 9n, 3n], 'the last totals, ungrouped')
  t.same(values(sibling), [1n, 9n, 9n, 4n])
  t.throws(() => enable(leader), { code: 'ENODEV' })
  t.equal(perf_poll(leader), POLLERR)
  stays.tick(0n, 2n)
  t.same(values(foreign), [1n, 9n, 9n, 2n], 'a sibling of another PMU counts on')
  t.match(setup.tryOpen(), { code: 'ENOENT' })
  for (const event of [leader, sibling, foreign, exited]) perf_release(event)
  t.equal(setup.pmu.log.filter(entry => entry === 'destroy').length, 3, 'destroy is not called again')
  t.equal(setup.core.eventCount, 0)
  t.equal(setup.task.references, 0)
})

t.test('an overflow switches an event off when its limit is reached', async t => {
  const setup = new Setup()
  const event = setup.open({ attr: { sample_period: 10n, disabled: true } })
  perf_event_overflow(event)
  event.event_limit = 2
  enable(event)
  perf_event_overflow(event)
  t.equal(event.stateName, 'active')
  let woken = 0
  perf_poll(event, () => woken++)
  perf_event_overflow(event)
  t.equal(event.stateName, 'off')
  t.equal(woken, 1)
})

t.test('an event whose PMU refuses it for now is placed at a later use', async t => {
  const setup = new Setup({ slots: 0 })
  const event = setup.open({ attr: { read_format: times } })
  const grouped = setup.open({ group_fd: event })
  t.same(states(event, grouped), ['inactive', 'inactive'])
  setup.run(5n)
  t.same(values(event), [0n, 5n, 0n])
  setup.pmu.slots = 2
  values(event)
  t.same(states(event, grouped), ['active', 'active'])
  setup.pmu.tick(0n)
  setup.run(1n)
  t.same(values(event), [1n, 6n, 1n])
  t.equal(setup.tryOpen() instanceof Failure, false)
})
