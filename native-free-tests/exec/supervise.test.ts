/** The supervisor: every trapped call is answered, and no descriptor of ours is left. */
import t from 'tap'
import { PERF_EVENT_IOC_PAUSE_OUTPUT } from '../../src/abi/perf-event.js'
import { syscallAbi } from '../../src/abi/seccomp.js'
import { supervise } from '../../src/exec/supervise.js'
import { attrBytes, FakeHost, ioctlTrap, KERNEL_TYPE, openTrap } from './support/fake-host.js'

const abi = syscallAbi('x86_64')
const settled = () => new Promise(resolve => setImmediate(resolve))

function hostWith(...traps: FakeHost['traps']): FakeHost {
  const host = new FakeHost()
  host.place(attrBytes({}))
  host.traps.push(...traps)
  return host
}

async function answersSoFar(host: FakeHost): Promise<string[]> {
  await supervise(host, abi)
  await settled()
  return [...host.answers]
}

async function answersOf(host: FakeHost): Promise<string[]> {
  await answersSoFar(host)
  t.equal(host.opened.size, 0, 'no descriptor is left')
  return host.answers
}

t.test('each call is answered by its number', async t => {
  const host = hostWith(openTrap({ flags: 8n }), ioctlTrap(3, PERF_EVENT_IOC_PAUSE_OUTPUT, 0n), {
    ...openTrap({}),
    nr: 39,
  })
  host.descriptors.set(3, { kind: 'ours', ino: 1n })
  t.strictSame((await answersOf(host)).sort(), ['inject cloexec', 'refuse EINVAL', 'resume'])
})

t.test('a prctl tells the server and then runs, also where the server is gone', async t => {
  const prctl = { ...openTrap({}), nr: abi.prctl, args: [31n, 0n, 0n, 0n, 0n, 0n] }
  const host = hostWith(prctl)
  t.strictSame(await answersOf(host), ['resume'])
  t.strictSame(host.requests, [{ op: 'prctl', option: 31, caller: prctl.tid }])
  const dead = hostWith(prctl)
  dead.openFailure = 'ENODEV'
  t.strictSame(await answersOf(dead), ['resume'])
})

t.test('a caller that is gone by the time of the answer gets no event', async t => {
  const host = hostWith(openTrap({}))
  host.openEvent = async () => {
    host.isCallerThere = false
  }
  t.strictSame(await answersOf(host), [])
  t.equal(host.requests.length, 1)
})

t.test('a caller without room for a descriptor gets EMFILE', async t => {
  const host = hostWith(openTrap({}))
  host.injectFailure = 'EMFILE'
  t.strictSame(await answersOf(host), ['refuse EMFILE'])
})

t.test('what is thrown is the errno; a defect of ours is EIO', async t => {
  const refused = hostWith(openTrap({}))
  refused.openFailure = 'EOPNOTSUPP'
  t.strictSame(await answersOf(refused), ['refuse EOPNOTSUPP'])
  const broken = hostWith(openTrap({}))
  broken.openEvent = () => Promise.reject(new TypeError('a defect'))
  t.strictSame(await answersOf(broken), ['refuse EIO'])
})

t.test('one call that waits for the server holds up no other', async t => {
  const host = hostWith(openTrap({}))
  let release = (): void => undefined
  host.openEvent = () => new Promise(resolve => (release = resolve))
  t.strictSame(await answersSoFar(host), [])
  host.place(attrBytes({ type: KERNEL_TYPE }))
  host.traps.push(openTrap({}))
  t.strictSame(await answersSoFar(host), ['resume'])
  release()
  await settled()
  t.strictSame(host.answers, ['resume', 'inject'])
})

t.test('a notification whose caller died before it was received is passed over', async t => {
  t.strictSame(await answersOf(hostWith(undefined, openTrap({}))), ['inject'])
})
