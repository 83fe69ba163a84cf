import t from 'tap'
import type { Failure } from '../../src/abi/errno.js'
import type { Vm } from '../../src/kvm/vm.js'
import { type GuestsMachine, GuestsMain, type GuestsMainOptions } from '../../src/sources/guests-main.js'
import type { ToCore } from '../../src/sources/messages.js'
import type { QmpConnect } from '../../src/sources/qmp/connection.js'
import { FakeProc } from './support/fake-proc.js'
import { FakeQemu, Recording } from './support/fake-qemu.js'
import { FakeTimers, settle } from './support/fake-timers.js'
import { joinGuests } from './support/joined-guests.js'

const kvm = new Recording('qemu-7.2-kvm')
const tids = kvm.threadIds
const qemuProcess = `
  process 100 start=5 cmd=qemu-system-x86_64
  fd 9 anon_inode:kvm-vm
  fd 10 anon_inode:kvm-vcpu:0
  fd 12 anon_inode:kvm-vcpu:1
  thread ${tids[0]} start=6 comm=CPU 0/KVM
  thread ${tids[1]} start=6 comm=CPU 1/KVM`
const held = `
  fd 11 anon_inode:kvm-vcpu-stats:0
  fd 13 anon_inode:kvm-vcpu-stats:1`
const third =
  '\nfd 14 anon_inode:kvm-vcpu:2\nfd 15 anon_inode:kvm-vcpu-stats:2\nthread 9002 start=8 comm=CPU 2/KVM'

function setUp(proc: FakeProc, options: GuestsMainOptions, qemu = new FakeQemu(kvm)) {
  const timers = new FakeTimers()
  const vms: Vm[] = []
  const list = {
    add: (vm: Vm) => vms.push(vm),
    update: () => {},
    remove: (vm: Vm) => vms.splice(vms.indexOf(vm), 1),
  }
  const machine: GuestsMachine = { view: proc, descriptors: proc, connect: qemu.connect, timers }
  const { core, main, messages } = joinGuests(t, { core: { vms: list, files: proc }, machine, options })
  const kinds = () => messages.splice(0).map(({ kind }) => kind)
  return { timers, vms, kinds, core, main, qemu, proc }
}

/** Runs a look whose timers have to pass. */
async function pass({ timers }: { timers: FakeTimers }, work: Promise<void>, ms = 50): Promise<void> {
  await timers.pass(ms)
  await work
}

t.test(
  'a guest that holds its statistics open is added, changed and removed, and its counts are read',
  async t => {
    const all = setUp(new FakeProc(qemuProcess + held), { source: 'auto' })
    const { main, proc, vms, kinds } = all
    await pass(all, main.start())
    t.strictSame(kinds(), ['vm-added'])
    const [vm] = vms
    if (!vm) throw new Error('no VM')
    const [first] = vm.vcpus
    t.strictSame(
      vm.vcpus.map(vcpu => vm.source.get_event_count(vcpu, 'exits')),
      [11n, 13n],
    )
    await all.timers.pass(3000)
    t.strictSame(kinds(), [], 'an unchanged guest sends nothing')
    proc.become(qemuProcess + held + third)
    await all.timers.pass(1100)
    t.strictSame(kinds(), ['vm-changed'])
    t.equal(vms[0], vm)
    t.equal(vm.vcpus[0], first, 'a vCPU that stays is the same object')
    t.strictSame(
      vm.vcpus.map(vcpu => vm.source.get_event_count(vcpu, 'exits')),
      [11n, 13n, 15n],
    )
    proc.become('')
    await all.timers.pass(1100)
    t.strictSame(kinds(), ['vm-removed'])
    t.strictSame(vms, [])
    t.equal(proc.open.size, 0, 'every descriptor is closed')
  },
)

t.test('counts can be read while the list takes a VM out, and its source is closed then', async t => {
  const proc = new FakeProc(qemuProcess + held)
  const all = setUp(proc, { source: 'stats' })
  await pass(all, all.main.start())
  const [vm] = all.vms
  const [vcpu] = vm?.vcpus ?? []
  if (!vm || !vcpu) throw new Error('no VM')
  let last: bigint | undefined
  all.vms.splice = ((...args: [number, number]) => {
    last = vm.source.get_event_count(vcpu, 'exits')
    return Array.prototype.splice.apply(all.vms, args)
  }) as typeof all.vms.splice
  proc.become('')
  await all.timers.pass(1100)
  t.equal(last, 11n)
  t.equal(vm.source.get_event_count(vcpu, 'exits'), undefined)
})

t.test('a guest without open statistics is counted by QMP, after a fetch', async t => {
  const all = setUp(new FakeProc(qemuProcess), { source: 'auto', sockets: ['/run/vm.sock'] })
  await pass(all, all.main.start())
  t.strictSame(all.kinds(), ['vm-added'])
  t.strictSame(all.main.uncounted, [])
  const [vm] = all.vms
  const [vcpu] = vm?.vcpus ?? []
  if (!vm?.source.refresher || !vcpu) throw new Error('no VM')
  t.match(vm, { name: 'vm-one', tgid: 100, source: { name: 'qmp' } })
  t.equal(vm.source.get_event_count(vcpu, 'exits'), undefined, 'nothing was fetched yet')
  const done: (Failure | undefined)[] = []
  vm.source.refresher.refresh(failure => done.push(failure))
  vm.source.refresher.refresh(() => t.fail('withdrawn'))()
  t.strictSame(done, [], 'never within the call')
  await settle()
  t.strictSame(done, [undefined])
  t.type(vm.source.get_event_count(vcpu, 'exits'), 'bigint')
  t.equal(vm.source.get_event_count(vcpu, 'no_such'), undefined)
})

t.test('a guest that hangs fails its own readers with ETIMEDOUT, and no scan waits for it twice', async t => {
  const all = setUp(new FakeProc(qemuProcess), { source: 'qmp', sockets: ['/run/vm.sock'], timeoutMs: 500 })
  await pass(all, all.main.start())
  const refresher = all.vms[0]?.source.refresher
  all.qemu.held.add('query-stats').add('query-cpus-fast')
  const done: (Failure | undefined)[] = []
  refresher?.refresh(failure => done.push(failure))
  await all.timers.pass(499)
  t.strictSame(done, [])
  await all.timers.pass(2)
  t.match(done, [{ code: 'ETIMEDOUT' }])
  await all.timers.pass(3000)
  const first = await Promise.race([all.main.scan().then(() => 'scan'), settle().then(() => 'timeout')])
  t.equal(first, 'scan')
  t.equal(all.qemu.connections, 1)
  t.equal(all.vms.length, 1, 'it is still there')
})

t.test('a QMP connection that ends is a VM that has gone, and readers go on with what they have', async t => {
  const all = setUp(new FakeProc(qemuProcess), { source: 'qmp', sockets: ['/run/vm.sock'] })
  await pass(all, all.main.start())
  all.kinds()
  all.qemu.held.add('query-stats')
  const done: (Failure | undefined)[] = []
  all.vms[0]?.source.refresher?.refresh(failure => done.push(failure))
  await settle()
  all.qemu.isGreeting = false
  all.qemu.hangUp()
  await settle()
  t.strictSame(all.kinds(), ['vm-removed'])
  t.strictSame(done, [undefined])
  t.strictSame(all.vms, [])
})

t.test('a server that hangs up as soon as it is counted is asked ever more seldom', async t => {
  const all = setUp(new FakeProc(qemuProcess), { source: 'qmp', sockets: ['/run/vm.sock'] })
  await pass(all, all.main.start())
  for (let second = 0; second < 100; second++) {
    all.qemu.hangUp()
    await all.timers.pass(1000)
  }
  t.ok(all.qemu.connections > 3 && all.qemu.connections < 10, `${all.qemu.connections} connections in 100 s`)
  t.match(all.main.uncounted, [{ socket: '/run/vm.sock', reason: /as soon as it was counted/ }])
  await all.timers.pass(40_000)
  t.equal(all.vms.length, 1, 'it is not given up')
  t.strictSame(all.main.uncounted, [])
  const { connections } = all.qemu
  all.qemu.hangUp()
  await all.timers.pass(1100)
  t.equal(all.qemu.connections, connections + 1, 'one that has lived is asked at the next look')
})

t.test('a guest that holds its statistics open is left to other QMP clients', async t => {
  const all = setUp(new FakeProc(qemuProcess + held), { source: 'auto', sockets: ['/run/vm.sock'] })
  await pass(all, all.main.start())
  t.equal(all.vms[0]?.source.name, 'stats')
  t.equal(all.vms.length, 1)
  t.notOk(all.qemu.isConnected)
  await all.timers.pass(60_000)
  t.equal(all.qemu.connections, 1, 'it is not asked again')
  t.strictSame(all.main.uncounted, [])
})

t.test('a socket in use is reported, waited for by one connection, and taken when it is free', async t => {
  const qemu = new FakeQemu(kvm)
  qemu.isGreeting = false
  const all = setUp(new FakeProc(qemuProcess), { source: 'qmp', sockets: ['/run/vm.sock'] }, qemu)
  await pass(all, all.main.start(), 3100)
  t.match(all.main.uncounted, [
    { socket: '/run/vm.sock', reason: /no greeting within 3 s/, remedy: /once that client ends/ },
  ])
  await all.timers.pass(100_000)
  t.equal(qemu.connections, 1, 'whatever is given up would stay in the queue of the server')
  const first = await Promise.race([all.main.scan().then(() => 'scan'), settle().then(() => 'timeout')])
  t.equal(first, 'scan', 'no look waits for it')
  qemu.say(kvm.greeting)
  await all.timers.pass(1100)
  t.equal(all.vms.length, 1)
  t.strictSame(all.main.uncounted, [])
  t.equal(qemu.connections, 1)
})

t.test('a socket that lets no more clients wait is in use too, and tried ever more seldom', async t => {
  let attempts = 0
  let isFull = true
  const qemu = new FakeQemu(kvm)
  const connect: QmpConnect = (path, handlers) => {
    attempts += 1
    if (!isFull) return qemu.connect(path, handlers)
    queueMicrotask(() => handlers.closed(Object.assign(new Error('connect EAGAIN'), { code: 'EAGAIN' })))
    return { send: () => {}, close: () => {} }
  }
  const proc = new FakeProc(qemuProcess)
  const timers = new FakeTimers()
  const machine = { view: proc, descriptors: proc, connect, timers }
  const main = new GuestsMain(machine, { source: 'qmp', sockets: ['/run/vm.sock'] }, () => {})
  await pass({ timers }, main.start())
  t.match(main.uncounted, [{ reason: /lets no more clients wait: a QMP socket serves one client/ }])
  await timers.pass(100_000)
  t.ok(attempts > 3 && attempts < 10, `${attempts} attempts in 100 s`)
  isFull = false
  await timers.pass(40_000)
  t.equal(main.vms.length, 1)
  t.strictSame(main.uncounted, [])
  main.stop()
})

t.test('a socket that is waited for is given up at the end', async t => {
  const qemu = new FakeQemu(kvm)
  qemu.isGreeting = false
  const all = setUp(new FakeProc(qemuProcess), { source: 'qmp', sockets: ['/run/vm.sock'] }, qemu)
  await pass(all, all.main.start(), 3100)
  t.ok(qemu.isConnected)
  all.main.stop()
  t.notOk(qemu.isConnected)
  await settle()
  t.equal(all.timers.pending, 0, 'stop() leaves no timer behind')
})

t.test('a guest under TCG is reported once and not asked again while it lives', async t => {
  const qemu = new FakeQemu(new Recording('qemu-7.2-tcg'))
  const [tid] = JSON.parse(qemu.recording.answers.get('query-cpus-fast')?.[0] ?? '').return
  const proc = new FakeProc(`process 300 start=1\nthread ${tid['thread-id']} start=2`)
  const all = setUp(proc, { source: 'auto', sockets: ['/run/tcg.sock'] }, qemu)
  await pass(all, all.main.start())
  await all.timers.pass(20_000)
  t.equal(qemu.connections, 1)
  t.match(all.main.uncounted, [{ socket: '/run/tcg.sock', tgid: 300, reason: /TCG/, remedy: /-accel kvm/ }])
  proc.become('')
  await all.timers.pass(1100)
  t.equal(qemu.connections, 2)
})

t.test('a missing socket is reported with what to do', async t => {
  const connect: QmpConnect = (_path, handlers) => {
    queueMicrotask(() => handlers.closed(Object.assign(new Error('connect ENOENT'), { code: 'ENOENT' })))
    return { send: () => {}, close: () => {} }
  }
  const proc = new FakeProc('')
  const timers = new FakeTimers()
  const machine = { view: proc, descriptors: proc, connect, timers }
  const main = new GuestsMain(machine, { source: 'qmp', sockets: ['/none'] }, () => {})
  await pass({ timers }, main.start())
  t.match(main.uncounted, [{ socket: '/none', reason: /No QMP server at "\/none"/, remedy: /qemu -qmp/ }])
  main.stop()
  t.equal(timers.pending, 0, 'stop() leaves no timer behind')
})

t.test(
  'scanRefresher ends when the list holds what the scan found; scans asked for meanwhile share the next',
  async t => {
    const proc = new FakeProc('')
    const all = setUp(proc, { source: 'auto' })
    await pass(all, all.main.start())
    proc.become(qemuProcess + held)
    const seen: number[] = []
    for (let i = 0; i < 3; i++) all.core.scanRefresher.refresh(() => seen.push(all.vms.length))
    t.strictSame(seen, [])
    await settle()
    t.strictSame(seen, [1, 1, 1])
    t.strictSame(all.kinds(), ['vm-added', 'scanned', 'scanned', 'scanned'])
  },
)

t.test('source "demo" counts the offered guest and the one process given', async t => {
  const other = qemuProcess.replace('process 100', 'process 200').replaceAll(/thread \d+/g, 'thread 201')
  const all = setUp(new FakeProc(`${other}\n${qemuProcess}${held}`), { source: 'demo', process: 100 })
  await pass(all, all.main.start())
  t.strictSame(
    all.main.vms.map(({ tgid }) => tgid),
    [100],
  )
  t.strictSame(all.main.uncounted, [])
  all.main.offer({
    key: 'demo',
    name: 'demo',
    tgid: 1,
    startTime: 1n,
    isReal: false,
    source: 'stats',
    vcpus: [],
    events: [],
  })
  t.equal(all.vms.length, 2)
  all.main.withdraw('demo')
  t.equal(all.vms.length, 1)
  all.core.close()
  t.equal(all.vms.length, 0)
})

t.test('a fetch for a VM that is not there is answered with ESRCH', async t => {
  const answers: ToCore[] = []
  const proc = new FakeProc('')
  const timers = new FakeTimers()
  const { connect } = new FakeQemu(kvm)
  const machine = { view: proc, descriptors: proc, connect, timers }
  const main = new GuestsMain(machine, { source: 'auto' }, message => answers.push(message))
  main.receive({ kind: 'fetch', ticket: 7, key: 'gone', scope: 'vcpu' })
  t.match(answers, [{ kind: 'fetch-failed', ticket: 7, code: 'ESRCH' }])
})
