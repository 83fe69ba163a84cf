import t from 'tap'
import type { ErrnoError, Failure } from '../../src/abi/errno.js'
import { type VmCounts, WHOLE_VM } from '../../src/sources/messages.js'
import { GREETING_MS, QmpClient } from '../../src/sources/qmp/client.js'
import { countedEvents, countsOf } from '../../src/sources/qmp/counts.js'
import { QmpGuest, UncountableGuest } from '../../src/sources/qmp/guest.js'
import { parseExact } from '../../src/sources/qmp/json.js'
import { Lines } from '../../src/sources/qmp/lines.js'
import { FakeProc } from './support/fake-proc.js'
import { FakeQemu, Recording } from './support/fake-qemu.js'
import { FakeTimers, settle } from './support/fake-timers.js'

const kvm = new Recording('qemu-7.2-kvm')
const path = '/run/vm.sock'

const machineOf = (recording: Recording): FakeProc =>
  new FakeProc(`process 100 start=5\n${recording.threadIds.map(tid => `thread ${tid} start=6`).join('\n')}`)

/** How a test reaches a server; what is told of a silent one is kept. */
function addressOf({ connect }: FakeQemu, timers = new FakeTimers()) {
  const silences: ErrnoError[] = []
  const end = new AbortController()
  const onSilent = (reason: ErrnoError) => void silences.push(reason)
  const address = { path, connect, timers, timeoutMs: 2000, signal: end.signal, onSilent }
  return { address, silences, end }
}

async function guestOf(qemu = new FakeQemu(kvm), view = machineOf(qemu.recording)) {
  const timers = new FakeTimers()
  const client = await QmpClient.open(addressOf(qemu, timers).address)
  const guest = await QmpGuest.describe({ client, view, timers, path, timeoutMs: 2000 })
  return { qemu, timers, guest, client }
}

t.test('parseExact() keeps integers that JSON.parse would round', async t => {
  t.strictSame(parseExact('{"a": 18446744073709551615, "b": 12, "c": "9999999999999999999", "d": [1.5e3]}'), {
    a: '18446744073709551615',
    b: 12,
    c: '9999999999999999999',
    d: [1500],
  })
  t.strictSame(parseExact('[0.5000000000000000000, "a\\"1234567890123456789\\""]'), [
    0.5,
    'a"1234567890123456789"',
  ])
})

t.test('Lines gives the same lines however the bytes are cut, and refuses a line without an end', async t => {
  const text = Buffer.from('{"a":"\u00e9"}\r\n\n{"b":2}\npartial')
  for (let size = 1; size <= text.length; size++) {
    const lines = new Lines()
    const got: string[] = []
    for (let at = 0; at < text.length; at += size) got.push(...lines.push(text.subarray(at, at + size)))
    t.strictSame(got, ['{"a":"\u00e9"}', '', '{"b":2}'], `pieces of ${size}`)
  }
  const small = new Lines(10)
  small.push(Buffer.from('12345'))
  t.throws(() => small.push(Buffer.from('678901')), { code: 'EMSGSIZE' })
})

t.test('QmpClient.open() tells of a server without a greeting, and waits on for its turn', async t => {
  const qemu = new FakeQemu(kvm)
  qemu.isGreeting = false
  const timers = new FakeTimers()
  const { address, silences } = addressOf(qemu, timers)
  const opened = QmpClient.open(address)
  await timers.pass(GREETING_MS - 1)
  t.strictSame(silences, [])
  await timers.pass(1_000_000)
  t.match(silences, [
    {
      code: 'EBUSY',
      message: /"\/run\/vm\.sock" gave no greeting within 3 s: a QMP socket serves one client/,
    },
  ])
  t.equal(silences.length, 1)
  qemu.say(kvm.greeting)
  t.strictSame(await (await opened).execute('query-name'), { name: 'vm-one' })
  t.equal(qemu.connections, 1)
})

t.test('QmpClient.open() gives up waiting when it is told to, and leaves no timer', async t => {
  const qemu = new FakeQemu(kvm)
  qemu.isGreeting = false
  const timers = new FakeTimers()
  const { address, end } = addressOf(qemu, timers)
  const opened = t.rejects(QmpClient.open(address), { code: 'ECONNRESET' })
  end.abort()
  await opened
  t.notOk(qemu.isConnected, 'the connection is given back')
  t.equal(timers.pending, 0)
})

t.test('QmpClient.open() takes EAGAIN of connect(2) for a socket in use', async t => {
  const qemu = new FakeQemu(kvm)
  qemu.isGreeting = false
  const opened = QmpClient.open(addressOf(qemu).address)
  qemu.hangUp(Object.assign(new Error('connect EAGAIN'), { code: 'EAGAIN' }))
  await t.rejects(opened, {
    code: 'EBUSY',
    message: '"/run/vm.sock" lets no more clients wait: a QMP socket serves one client, and another has it',
  })
})

t.test('QmpClient.open() fails with ETIMEDOUT when a server says no more than hello', async t => {
  const qemu = new FakeQemu(kvm)
  qemu.held.add('qmp_capabilities')
  const timers = new FakeTimers()
  const opened = t.rejects(QmpClient.open(addressOf(qemu, timers).address), { code: 'ETIMEDOUT' })
  await timers.pass(2000)
  await opened
  t.notOk(qemu.isConnected, 'the connection is given back')
})

t.test('QmpClient.open() passes on why there is no server, and refuses what is no QMP', async t => {
  const refusing = new FakeQemu(kvm)
  refusing.isGreeting = false
  const opened = QmpClient.open(addressOf(refusing).address)
  refusing.hangUp(Object.assign(new Error('connect ENOENT'), { code: 'ENOENT' }))
  await t.rejects(opened, { code: 'ENOENT', message: 'No QMP server at "/run/vm.sock": connect ENOENT' })
  for (const line of ['SSH-2.0-OpenSSH_9.2', '{"hello":1}', '[]', 'null', '"QMP"']) {
    const other = new FakeQemu(kvm)
    other.isGreeting = false
    const wrong = QmpClient.open(addressOf(other).address)
    other.say(line)
    await t.rejects(wrong, { code: 'EPROTO' }, line)
    t.notOk(other.isConnected)
  }
})

t.test('QmpClient.execute() matches answers by id, past events and answers that are too late', async t => {
  const { qemu, client, timers } = await guestOf()
  qemu.interleaved = [
    '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RTC_CHANGE", "data": {"offset": 0}}',
    '{"return": "not yours", "id": 99999}',
  ]
  t.strictSame(await client.execute('query-name'), { name: 'vm-one' })
  qemu.held.add('query-name')
  const late = t.rejects(client.execute('query-name', { timeoutMs: 100 }), { code: 'ETIMEDOUT' })
  await timers.pass(100)
  await late
  qemu.release('query-name')
  t.strictSame(await client.execute('query-kvm'), { enabled: true, present: true })
  await t.rejects(client.execute('no-such'), { errorClass: 'CommandNotFound', code: 'EPROTO' })
})

t.test('QmpClient ends at garbage and at a hang-up, and commands under way fail', async t => {
  const first = await guestOf()
  first.qemu.held.add('query-name')
  const garbled = t.rejects(first.client.execute('query-name'), { code: 'EPROTO' })
  first.qemu.say('{"return": ')
  await garbled
  t.notOk(first.qemu.isConnected)
  await t.rejects(first.client.execute('query-name'), { code: 'ECONNRESET' })

  const second = await guestOf()
  let ended = 0
  second.client.onClosed(() => ended++)
  second.qemu.held.add('query-name')
  const cut = t.rejects(second.client.execute('query-name'), { code: 'ECONNRESET' })
  second.qemu.hangUp()
  await cut
  t.equal(ended, 1)
})

t.test(
  'QmpGuest.describe() gives the name, threads and the cumulative events of a recorded guest',
  async t => {
    const { guest } = await guestOf()
    const vm = guest.description('k')
    const [first, second] = kvm.threadIds
    t.match(vm, { key: 'k', name: 'vm-one', tgid: 100, startTime: 5n, isReal: true, source: 'qmp' })
    t.strictSame(vm.vcpus, [
      { id: 0, tid: first, startTime: 6n },
      { id: 1, tid: second, startTime: 6n },
    ])
    const names = vm.events.map(({ name }) => name)
    t.ok(names.includes('exits'))
    t.strictSame(
      vm.events.find(({ name }) => name === 'halt_wait_ns'),
      {
        name: 'halt_wait_ns',
        unit: 's',
        scale: '1e-9',
      },
    )
    for (const name of ['guest_mode', 'blocking', 'halt_wait_hist']) t.notOk(names.includes(name), name)
  },
)

t.test('QmpGuest.describe() says why a guest cannot be counted', async t => {
  const problem = async (qemu: FakeQemu, view?: FakeProc) => {
    const error = await guestOf(qemu, view).then(
      () => undefined,
      error => error,
    )
    return error instanceof UncountableGuest ? error.problem.reason : error
  }
  t.match(await problem(new FakeQemu(new Recording('qemu-7.2-tcg'))), /under TCG/)
  t.match(await problem(new FakeQemu(kvm), new FakeProc('process 1 start=1')), /pid namespace/)
  const old = new FakeQemu(kvm)
  old.replaced.set('query-stats-schemas', { error: { class: 'CommandNotFound', desc: 'not found' } })
  t.match(await problem(old), /no query-stats/)
  const odd = new FakeQemu(kvm)
  odd.replaced.set('query-cpus-fast', { return: [{ 'cpu-index': 'zero' }] })
  t.match(await problem(odd), { code: 'EPROTO', message: /query-cpus-fast: 0\.cpu-index/ })
})

const wait = (guest: QmpGuest, into: (VmCounts | Failure)[]) =>
  guest.snapshot('vcpu', result => into.push(result))

t.test('QmpGuest.snapshot() gives the recorded counts by vCPU', async t => {
  const { guest } = await guestOf()
  const got: (VmCounts | Failure)[] = []
  wait(guest, got)
  await settle()
  const [counts] = got
  if (!(counts instanceof Map)) throw new Error('no counts')
  const exits = guest.events.findIndex(({ name }) => name === 'exits')
  const recorded = JSON.parse(kvm.answers.get('query-stats')?.[0] ?? '').return
  for (const { 'qom-path': qom, stats } of recorded) {
    const id = qom.endsWith('device[0]') ? 0 : 1
    const value = stats.find((stat: { name: string }) => stat.name === 'exits').value
    t.equal(counts.get(id)?.[exits], BigInt(value), `vCPU ${id}`)
  }
})

t.test('QmpGuest.snapshot(): who asks while a query is under way shares the next one', async t => {
  const { guest, qemu } = await guestOf()
  qemu.held.add('query-stats')
  const got: (VmCounts | Failure)[] = []
  const queries = () => qemu.commands.filter(command => command === 'query-stats').length
  wait(guest, got)
  wait(guest, got)
  wait(guest, got)
  await settle()
  t.equal(queries(), 1)
  qemu.release('query-stats')
  await settle()
  t.equal(queries(), 2, 'one more for both who came later')
  t.equal(got.length, 3)
  t.equal(got[1], got[2])
  t.not(got[0], got[1])
})

t.test(
  'QmpGuest.snapshot(): a guest that hangs fails each who waits with ETIMEDOUT, and serves again later',
  async t => {
    const { guest, qemu, timers } = await guestOf()
    qemu.held.add('query-stats')
    const first: (VmCounts | Failure)[] = []
    const second: (VmCounts | Failure)[] = []
    wait(guest, first)
    await timers.pass(1500)
    wait(guest, second)
    await timers.pass(500)
    t.match(first, [{ code: 'ETIMEDOUT', message: /"\/run\/vm\.sock" did not answer within 2000 ms/ }])
    t.strictSame(second, [])
    await timers.pass(1500)
    t.match(second, [{ code: 'ETIMEDOUT' }])
    const third: (VmCounts | Failure)[] = []
    wait(guest, third)
    t.equal(qemu.connections, 1, 'no new connection')
    qemu.release('query-stats')
    await settle()
    t.ok(third[0] instanceof Map)
    t.equal(first.length + second.length, 2, 'nobody hears twice')
    t.equal(qemu.commands.filter(command => command === 'query-stats').length, 2)
  },
)

t.test('QmpGuest.snapshot() fails with EPROTO when the answer is refused or has another shape', async t => {
  const { guest, qemu } = await guestOf()
  const got: (VmCounts | Failure)[] = []
  qemu.replaced.set('query-stats', { error: { class: 'GenericError', desc: 'no' } })
  wait(guest, got)
  await settle()
  qemu.replaced.set('query-stats', { return: [{ provider: 'kvm', stats: [{ name: 'exits', value: -1 }] }] })
  wait(guest, got)
  await settle()
  t.match(got, [{ code: 'EPROTO', message: /refused query-stats: no/ }, { code: 'EPROTO' }])
})

t.test('QmpGuest.snapshot() of the VM asks for nothing of its vCPUs', async t => {
  const { guest, qemu } = await guestOf()
  t.match(guest.description('k').whole, [{ source: 'qmp', events: guest.wholeEvents }])
  const names = guest.wholeEvents.map(({ name }) => name)
  for (const name of ['remote_tlb_flush', 'mmu_shadow_zapped']) t.ok(names.includes(name), name)
  for (const name of ['pages_4k', 'max_mmu_rmap_size', 'exits']) t.notOk(names.includes(name), name)
  const stats = names.map((name, i) => ({ name, value: i + 1 }))
  qemu.replaced.set('query-stats', { return: [{ provider: 'kvm', stats }] })
  const got: (VmCounts | Failure)[] = []
  guest.snapshot('vm', result => got.push(result))
  await settle()
  t.strictSame(got, [new Map([[WHOLE_VM, BigUint64Array.from(names, (_, i) => BigInt(i + 1))]])])
  const asked = qemu.requests.filter(({ execute }) => execute === 'query-stats')
  t.match(asked, [{ arguments: { target: 'vm', providers: [{ provider: 'kvm', names }] } }])
})

t.test('countsOf() leaves out a vCPU that is unknown or lacks a count', async t => {
  const events = [{ name: 'a' }, { name: 'b' }]
  const of = (path: string, ...stats: { name: string; value: number | string | boolean | number[] }[]) => ({
    provider: 'kvm',
    'qom-path': path,
    stats,
  })
  const a = { name: 'a', value: '18446744073709551615' }
  const b = { name: 'b', value: 1 }
  const answer = [of('/1', b, a), of('/2', a), of('/3', a, b), of('/4', a, { name: 'b', value: [1, 2] })]
  const counts = countsOf(
    answer,
    events,
    new Map([
      ['/1', 1],
      ['/2', 2],
      ['/4', 4],
    ]),
  )
  t.strictSame([...counts], [[1, BigUint64Array.of(2n ** 64n - 1n, 1n)]])
})

t.test(
  'countedEvents() takes scalars of KVM for vCPUs or for the VM, with names that sysfs and perf can bear',
  async t => {
    const stat = (name: string, type = 'cumulative') => ({ name, type, exponent: 0 })
    const schema = (provider: string, target: string, ...stats: ReturnType<typeof stat>[]) => ({
      provider,
      target,
      stats,
    })
    const schemas = [
      schema('kvm', 'vcpu', stat('b'), stat('../x'), stat('h', 'log2-histogram'), stat('a'), stat('a')),
      schema('kvm', 'vm', stat('c')),
      schema('cryptodev', 'vcpu', stat('d')),
    ]
    t.strictSame(countedEvents(schemas, 'vcpu'), [{ name: 'a' }, { name: 'b' }])
    t.strictSame(countedEvents(schemas, 'vm'), [{ name: 'c' }])
  },
)
