/** What becomes of a mount's demo guest that is slow, fails, or ends: the mount goes on, and the user is told. */
import t from 'tap'
import { type DemoGuest, OfferedDemo } from '../../src/sources/demo/offered-demo.js'
import type { Ready } from '../../src/sources/demo/protocol.js'
import type { VmDescription } from '../../src/sources/messages.js'
import { FakeTimers, settle } from './support/fake-timers.js'

const vm: VmDescription = {
  key: 'demo-7',
  name: 'demo',
  tgid: 7,
  startTime: 1n,
  isReal: true,
  source: 'stats',
  vcpus: [],
  events: [],
}
const PATIENCE_MS = 10_000
const ready: Ready = { ready: true, kind: 'kvm', pid: 7, vcpus: [] }

/** A guest whose life the test directs, and what its owner was told. */
function demo(describe = () => vm) {
  const told: string[] = []
  const timers = new FakeTimers()
  let becomeReady: (words: Ready) => void = () => undefined
  let fail: (error: Error) => void = () => undefined
  let end: () => void = () => undefined
  const guest: DemoGuest = {
    pid: 7,
    whenReady: new Promise((resolve, reject) => {
      becomeReady = resolve
      fail = reject
    }),
    ended: new Promise(resolve => {
      end = resolve
    }),
    describe,
    stop: async () => {
      told.push('stop')
      fail(new Error('SIGTERM'))
      end()
    },
  }
  const offered = new OfferedDemo({
    launch: () => guest,
    offer: ({ key }) => told.push(`offer ${key}`),
    withdraw: key => told.push(`withdraw ${key}`),
    report: message => told.push(message),
    timers,
    patienceMs: PATIENCE_MS,
    remedy: 'do this',
  })
  const started = offered.start()
  const isWaiting = (): Promise<boolean> =>
    Promise.race([started.then(() => false), settle().then(() => true)])
  return {
    told,
    timers,
    offered,
    started,
    isWaiting,
    becomeReady,
    fail: () => fail(new Error('it is ill')),
    end,
  }
}

t.test('one that is ready in time is offered before the mount goes on, and nothing is said', async t => {
  const { told, timers, offered, started, isWaiting, becomeReady } = demo()
  t.ok(await isWaiting())
  t.equal(offered.pid, 7, 'its process is known before it is ready, so that it is not found as a stranger')
  await timers.pass(PATIENCE_MS - 1)
  t.ok(await isWaiting())
  becomeReady(ready)
  await started
  t.same(told, ['offer demo-7'])
  t.equal(timers.pending, 0)
})

t.test(
  'one that is late holds the mount up no longer than patience lasts, and is offered when it is ready',
  async t => {
    const { told, timers, offered, started, becomeReady } = demo()
    await timers.pass(PATIENCE_MS)
    await started
    t.match(told, [/not ready after 10 s.*going on without; it is counted as soon as it is ready/])
    t.equal(offered.ready, undefined)
    becomeReady({ ...ready, kind: 'simulated' })
    await settle()
    t.match(told.slice(1), ['offer demo-7', /\(SIMULATED\) is ready, and counted from now on/])
  },
)

t.test('one that fails before it is ready does not fail the mount, which goes on at once', async t => {
  const { told, started, fail, offered } = demo()
  fail()
  await started
  t.match(told, [/cannot count the demo guest: it is ill; do this/, 'stop'])
  t.equal(offered.ready, undefined)
  t.equal(offered.pid, undefined, "its number is anybody's")
})

t.test('one that fails late is told of, and never said to be ready', async t => {
  const { told, timers, started, fail } = demo()
  await timers.pass(PATIENCE_MS)
  await started
  fail()
  await settle()
  t.match(told.slice(1), [/cannot count the demo guest: it is ill; do this/, 'stop'])
  t.equal(told.length, 3)
})

t.test('one that cannot be described is ended, not left to run uncounted', async t => {
  const { told, started, becomeReady } = demo(() => {
    throw new Error('no descriptor')
  })
  becomeReady(ready)
  await started
  t.match(told, [/cannot count the demo guest: no descriptor; do this/, 'stop'])
})

t.test('one that ends by itself is withdrawn, and the user is told', async t => {
  const { told, offered, started, becomeReady, end } = demo()
  becomeReady(ready)
  await started
  end()
  await settle()
  t.match(told, ['offer demo-7', 'withdraw demo-7', /has ended by itself; do this/])
  t.equal(offered.ready, undefined)
  t.equal(offered.pid, undefined, "its number is anybody's")
})

t.test('the end of the mount ends one that is not ready yet, without a word', async t => {
  const { told, offered, started } = demo()
  await offered.stop()
  await started
  t.same(new Set(told), new Set(['stop']))
})
