/** What add, start, stop, read, del and destroy do to a count, to hw.state and to the source's arming. */
import t from 'tap'
import { Failure } from '../../src/abi/errno.js'
import {
  PERF_EF_START,
  PERF_EF_UPDATE,
  PERF_HES_STOPPED,
  PERF_HES_UPTODATE,
} from '../../src/abi/perf-event.js'
import { countBetween } from '../../src/perf/count-between.js'
import { FakeRefresher } from '../../src/sources/fake/fake-refresher.js'
import { fakeTask, machine, refusal } from './support/machine.js'

const MAX = (1n << 64n) - 1n
const onSecond = { target: fakeTask(1002) }
const AT_REST = PERF_HES_STOPPED | PERF_HES_UPTODATE

t.test('countBetween() is the difference, also across the end of u64', async t => {
  t.equal(countBetween(5n, 5n), 0n)
  t.equal(countBetween(5n, 12n), 7n)
  t.equal(countBetween(MAX - 1n, 3n), 5n)
  t.equal(countBetween(0n, MAX / 2n), MAX / 2n)
})

t.test('countBetween() counts from 0 when the statistic went down: it was reset', async t => {
  t.equal(countBetween(1000n, 0n), 0n)
  t.equal(countBetween(1000n, 40n), 40n)
  t.equal(countBetween(1n << 62n, (1n << 62n) - 1n), (1n << 62n) - 1n)
})

t.test('an event counts what happens between start and stop', async t => {
  const { open, pmu, source, first, read } = machine()
  source.set(first, 'exits', 1000n)
  const event = open()
  source.happen(first, 'exits', 1n)
  t.equal(event.hw.state, AT_REST)
  pmu.add(event, PERF_EF_START)
  t.equal(event.hw.state, 0)
  source.happen(first, 'exits', 2n)
  t.equal(read(event), 2n)
  t.equal(read(event), 2n, 'what was folded in is not folded in again')
  source.happen(first, 'exits', 3n)
  pmu.stop(event, PERF_EF_UPDATE)
  t.equal(event.hw.state, AT_REST)
  t.equal(event.count, 5n)
  source.happen(first, 'exits', 10n)
  t.equal(read(event), 5n, 'a stopped event does not count')
  pmu.start(event, 0)
  source.happen(first, 'exits', 4n)
  pmu.del(event, 0)
  t.equal(event.count, 9n, 'del stops and updates')
})

t.test('a statistic that wraps is counted on; count itself wraps too', async t => {
  const { count, source, first, read } = machine()
  source.set(first, 'exits', MAX - 2n)
  const event = count()
  source.happen(first, 'exits', 10n)
  t.equal(read(event), 10n)
  event.count = MAX
  source.happen(first, 'exits', 3n)
  t.equal(read(event), 2n)
})

t.test('a statistic that is reset never gives a huge number', async t => {
  const { count, source, first, read } = machine()
  source.set(first, 'exits', 1000n)
  const event = count()
  source.happen(first, 'exits', 5n)
  t.equal(read(event), 5n)
  source.set(first, 'exits', 0n)
  source.happen(first, 'exits', 2n)
  t.equal(read(event), 7n)
  source.happen(first, 'exits', 1n)
  t.equal(read(event), 8n)
})

t.test('start records the count before it arms, stop updates after it has disarmed', async t => {
  const { open, pmu, source, first } = machine()
  const configure = source.configure_event.bind(source)
  source.configure_event = (vcpu, name, enable) => {
    if (enable) source.happen(first, 'exits', 100n)
    const result = configure(vcpu, name, enable)
    if (!enable) source.happen(first, 'exits', 1n)
    return result
  }
  const event = open()
  pmu.start(event, 0)
  pmu.stop(event, PERF_EF_UPDATE)
  t.equal(event.count, 101n)
})

t.test('add without PERF_EF_START leaves the event stopped', async t => {
  const { open, pmu, source, first, read } = machine()
  const event = open()
  t.equal(pmu.add(event, 0), undefined)
  source.happen(first, 'exits', 3n)
  t.equal(read(event), 0n)
  t.equal(event.hw.state, AT_REST)
  t.same(source.configured, [])
})

t.test('stop and start are done once, however often they are asked for', async t => {
  const { count, pmu, source, first, read } = machine()
  const event = count()
  source.happen(first, 'exits', 3n)
  pmu.start(event, 0)
  t.equal(read(event), 3n, 'a second start forgets nothing')
  pmu.stop(event, PERF_EF_UPDATE)
  pmu.stop(event, PERF_EF_UPDATE)
  pmu.del(event, 0)
  t.equal(event.count, 3n)
  t.same(source.configured, [
    { vcpu: 0, event: 'exits', enable: true },
    { vcpu: 0, event: 'exits', enable: false },
  ])
})

t.test('stop without PERF_EF_UPDATE keeps its part until it is asked for', async t => {
  const { count, pmu, source, first, read } = machine()
  const [event, other] = [count(), count(onSecond)]
  source.happen(first, 'exits', 3n)
  pmu.stop(event, 0)
  t.equal(event.count, 0n)
  t.equal(event.hw.state, PERF_HES_STOPPED)
  source.happen(first, 'exits', 10n)
  t.equal(read(event), 3n, 'read folds it in, and nothing that happened later')
  pmu.start(event, 0)
  source.happen(first, 'exits', 4n)
  pmu.stop(event, 0)
  source.happen(first, 'exits', 10n)
  pmu.start(event, 0)
  t.equal(event.count, 7n, 'the next start folds it in')
  t.equal(read(other), 0n)
})

t.test('a source that cannot be read makes the read EIO and leaves the last count', async t => {
  const { count, pmu, source, first, read } = machine()
  const event = count()
  source.happen(first, 'exits', 3n)
  t.equal(read(event), 3n)
  source.isReadable = false
  source.happen(first, 'exits', 4n)
  t.throws(() => read(event), {
    code: 'EIO',
    message: 'Event "exits" of vCPU thread 1001 cannot be read now; DEBUG=pmufs:sources shows why',
  })
  t.equal(event.count, 3n)
  source.isReadable = true
  t.equal(read(event), 7n, 'nothing is lost when it can be read again')
  source.isReadable = false
  source.happen(first, 'exits', 5n)
  pmu.stop(event, PERF_EF_UPDATE)
  source.isReadable = true
  t.equal(read(event), 7n, 'what could not be read at the stop is not known')
})

t.test(
  'an event does not start while its source cannot be read: what it misses could not be told',
  async t => {
    const { open, pmu, source, first, read } = machine()
    source.set(first, 'exits', 1_000_000n)
    const event = open()
    source.isReadable = false
    t.match(
      refusal(pmu.add(event, PERF_EF_START)),
      /^EIO: Event "exits" of vCPU thread 1001 cannot be read now/,
    )
    t.equal(event.hw.state, AT_REST)
    t.same(source.configured, [], 'nothing was armed')
    source.isReadable = true
    t.equal(pmu.add(event, PERF_EF_START), undefined)
    source.happen(first, 'exits', 6n)
    t.equal(read(event), 6n, 'what the statistic had before is not counted')
  },
)

t.test('event_init() fails with EIO where the count cannot be read, unless it is to be fetched', async t => {
  const { tryOpen, source, count } = machine()
  source.isReadable = false
  for (const disabled of [false, true])
    t.match(refusal(tryOpen({ disabled })), /^EIO: Event "exits" of vCPU thread 1001 cannot be read now/)
  source.isReadable = true
  t.equal(count().count, 0n, 'the pair is not left taken')

  const refresher = new FakeRefresher()
  const fetched = machine({ refresher })
  fetched.source.isReadable = false
  t.match(refusal(fetched.tryOpen()), /^EIO/, 'it was fetched before the open')
  t.equal(refusal(fetched.tryOpen({ disabled: true })), 'not refused')
})

t.test('with sharing, the first to start arms and the last to stop disarms', async t => {
  const { count, pmu, source, first, second, read, close } = machine({ sharing: true, armedOnly: true })
  const [one, two, three] = [count(), count(), count(onSecond)]
  t.same(source.configured, [
    { vcpu: 0, event: 'exits', enable: true },
    { vcpu: 1, event: 'exits', enable: true },
  ])
  source.happen(first, 'exits', 2n)
  pmu.stop(one, PERF_EF_UPDATE)
  t.equal(source.isArmed(first, 'exits'), true, 'two still counts')
  source.happen(first, 'exits', 3n)
  t.equal(read(two), 5n)
  t.equal(read(one), 2n)
  close(two)
  t.equal(source.isArmed(first, 'exits'), false)
  t.equal(source.isArmed(second, 'exits'), true)
  close(one)
  close(three)
  t.equal(source.configured.length, 4)
  t.equal(source.repeated, 0)
})

t.test('add fails as the source does, and the event stays stopped', async t => {
  const { open, pmu, source, first, read, close } = machine({ sharing: true })
  const event = open()
  source.isFull = true
  t.equal(refusal(pmu.add(event, PERF_EF_START)), 'ENOSPC: "exits" has no room')
  t.equal(event.hw.state, AT_REST)
  pmu.start(event, 0)
  source.happen(first, 'exits', 1n)
  t.equal(read(event), 0n)
  source.isFull = false
  source.refusal = new Failure('EMFILE', 'no descriptor')
  t.equal(refusal(pmu.add(event, PERF_EF_START)), 'EIO: no descriptor', 'other than a lack of room')
  source.refusal = undefined
  t.equal(pmu.add(event, PERF_EF_START), undefined)
  source.happen(first, 'exits', 1n)
  t.equal(read(event), 1n)
  close(event)
  t.equal(source.isArmed(first, 'exits'), false)
})

t.test('destroy disarms an event that is still started', async t => {
  const { count, source, first } = machine()
  const event = count()
  event.destroy?.(event)
  t.equal(source.isArmed(first, 'exits'), false)
  t.equal(source.configured.length, 2)
})

t.test("the callbacks refuse an event that is not the host PMU's own", async t => {
  const { pmu, count } = machine()
  const event = count()
  event.pmu_private = {}
  t.throws(() => pmu.read(event), { name: 'TypeError', message: /is none of the host PMU's/ })
})
