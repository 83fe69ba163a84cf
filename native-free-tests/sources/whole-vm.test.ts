/** Counts of whole VMs: where they are found, which source is taken, and what is read. */
import t from 'tap'
import { ErrnoError, type Failure } from '../../src/abi/errno.js'
import type { Vm } from '../../src/kvm/vm.js'
import { findVmFolder } from '../../src/sources/debugfs/vm-folder.js'
import { parseKvmLink, vmLinks } from '../../src/sources/discovery/kvm-links.js'
import type { GuestsMainOptions } from '../../src/sources/guests-main.js'
import { FakeProc } from './support/fake-proc.js'
import { FakeQemu, Recording } from './support/fake-qemu.js'
import { FakeTimers, settle } from './support/fake-timers.js'
import { joinGuests } from './support/joined-guests.js'

const recording = new Recording('qemu-7.2-kvm')
const [first = 0, second = 0] = recording.threadIds
const quiet = `
  process 100 start=5 cmd=qemu-system-x86_64
  fd 9 anon_inode:kvm-vm
  fd 10 anon_inode:kvm-vcpu:0
  fd 12 anon_inode:kvm-vcpu:1
  thread ${first} start=6 comm=CPU 0/KVM
  thread ${second} start=6 comm=CPU 1/KVM`
const vcpuStats = '\nfd 11 anon_inode:kvm-vcpu-stats:0\nfd 13 anon_inode:kvm-vcpu-stats:1'
const vmStats = '\nfd 14 anon_inode:kvm-vm-stats'
const folder = {
  '100-9/remote_tlb_flush': '42\n',
  '100-9/exits': '1000\n',
  '100-9/halt_wait_ns': '18446744073709551615\n',
  '100-9/pages_4k': '7\n',
  '100-9/vcpu0/pid': `${first}\n`,
  '100-9/vcpu1/pid': '0\n',
  remote_tlb_flush: '99\n',
}
const counts = ['remote_tlb_flush', 'exits', 'halt_wait_ns']

function setUp(proc: FakeProc, options: GuestsMainOptions = { source: 'auto' }) {
  const timers = new FakeTimers()
  const vms: Vm[] = []
  const list = {
    add: (vm: Vm) => vms.push(vm),
    update: () => {},
    remove: (vm: Vm) => vms.splice(vms.indexOf(vm), 1),
  }
  const { connect } = new FakeQemu(recording)
  const machine = { view: proc, descriptors: proc, connect, timers, debugfs: proc.debugfsView(...counts) }
  const { core, main } = joinGuests(t, { core: { vms: list, files: proc }, machine, options })
  const start = async () => {
    const started = main.start()
    await timers.pass(50)
    await started
    return vms[0]
  }
  return { timers, vms, core, proc, start }
}

t.test('vmLinks() gives each VM its own descriptors where it can tell', async t => {
  const of = (...links: string[]) =>
    vmLinks(links.flatMap((link, i) => parseKvmLink(i, `anon_inode:kvm-${link}`) ?? [])).wholes.map(
      ({ fds, stats }) => [fds, stats?.fd],
    )
  t.same(of('vm', 'vcpu:0', 'vm-stats'), [[[0], 2]])
  t.same(of('vm', 'vm', 'vcpu:0', 'vm-stats', 'vm-stats'), [[[0, 1], 3]], 'one VM, its descriptors twice')
  const two = ['vm', 'vcpu:0', 'vcpu-stats:0', 'vm', 'vcpu:0', 'vcpu-stats:0']
  t.same(of(...two), [
    [[0], undefined],
    [[3], undefined],
  ])
  t.same(of(...two, 'vm-stats', 'vm-stats'), [
    [[0], 6],
    [[3], 7],
  ])
  t.same(
    of(...two, 'vm-stats').map(([, stats]) => stats),
    [undefined, undefined],
    "whose it is can't be told",
  )
})

t.test("a VM's own statistics are taken where its VMM holds them, once, and closed in the end", async t => {
  const proc = new FakeProc(quiet + vcpuStats + vmStats)
  const { start, timers, vms } = setUp(proc)
  const { whole } = (await start()) ?? {}
  if (!whole) throw new Error('no VM')
  t.equal(whole.name, 'stats')
  t.same(whole.events, [{ name: 'remote_tlb_flush' }])
  t.equal(whole.get_event_count('remote_tlb_flush'), 14n)
  t.equal(whole.get_event_count('exits'), undefined)
  const takes = proc.takes
  proc.become(quiet + vcpuStats)
  await timers.pass(3000)
  t.equal(whole.get_event_count('remote_tlb_flush'), 14n, 'the copy outlives the original')
  t.equal(proc.takes, takes)
  proc.become('')
  await timers.pass(1100)
  t.same(vms, [])
  t.equal(proc.open.size, 0)
  t.equal(whole.get_event_count('remote_tlb_flush'), undefined)
})

t.test('where it does not, debugfs is read, also behind statistics that come later', async t => {
  const proc = new FakeProc(quiet + vcpuStats)
  proc.debugfs = folder
  const { start, timers } = setUp(proc)
  const vm = await start()
  t.equal(vm?.whole?.name, 'debugfs')
  t.same(vm?.whole?.events, [
    { name: 'exits' },
    { name: 'halt_wait_ns', unit: 's', scale: '1e-9' },
    { name: 'remote_tlb_flush' },
  ])
  t.equal(vm?.whole?.get_event_count('remote_tlb_flush'), 42n)
  proc.become(quiet + vcpuStats + vmStats)
  await timers.pass(1100)
  t.equal(vm?.whole?.name, 'stats,debugfs')
  t.equal(vm?.whole?.get_event_count('remote_tlb_flush'), 14n)
})

t.test('a count comes from the first source that has it and can read it', async t => {
  const proc = new FakeProc(quiet + vcpuStats + vmStats)
  proc.debugfs = folder
  const { start, timers } = setUp(proc)
  const { whole } = (await start()) ?? {}
  if (!whole) throw new Error('no VM')
  t.same(
    whole.events.map(({ name }) => name),
    ['remote_tlb_flush', 'exits', 'halt_wait_ns'],
  )
  t.equal(whole.get_event_count('remote_tlb_flush'), 14n)
  t.equal(whole.get_event_count('exits'), 1000n, 'what the first does not have')
  t.equal(whole.get_event_count('pages_4k'), undefined)
  proc.pread = () => {
    throw new ErrnoError('EIO')
  }
  t.equal(whole.get_event_count('remote_tlb_flush'), 42n, 'what the first cannot read')
  proc.become('')
  await timers.pass(1100)
  t.equal(proc.open.size, 0)
})

t.test('source "stats" leaves debugfs alone, "debugfs" the statistics', async t => {
  for (const [source, expected] of [
    ['stats', ['stats']],
    ['debugfs', ['debugfs']],
  ] as const) {
    const proc = new FakeProc(quiet + vcpuStats + vmStats)
    proc.debugfs = folder
    const { vms, start } = setUp(proc, { source })
    await start()
    t.strictSame(
      vms.map(vm => vm.whole?.name),
      expected,
    )
    t.equal(proc.open.size, source === 'stats' ? 3 : 0)
  }
})

t.test('a guest without any of them has no counts as a whole but the sums', async t => {
  const proc = new FakeProc(quiet + vcpuStats)
  const vm = await setUp(proc).start()
  t.equal(vm?.whole, undefined)
})

t.test('a QMP guest is asked for the VM or for its vCPUs, as is needed', async t => {
  const { start } = setUp(new FakeProc(quiet), { source: 'qmp', sockets: ['/run/vm.sock'] })
  const vm = await start()
  const { whole, source } = vm ?? {}
  if (!whole?.refresher || !source?.refresher) throw new Error('no VM')
  t.equal(whole.name, 'qmp')
  t.ok(whole.events.some(({ name }) => name === 'remote_tlb_flush'))
  t.notOk(whole.events.some(({ name }) => name === 'exits'))
  const done: (Failure | undefined)[] = []
  source.refresher.refresh(failure => done.push(failure))
  await settle()
  t.same(done, [undefined])
  t.equal(whole.get_event_count('remote_tlb_flush'), undefined, 'nothing was fetched for the VM yet')
})

t.test('findVmFolder() takes the one folder that can be the VM', async t => {
  const find = (debugfs: Record<string, string>, traits: object = {}) => {
    const proc = new FakeProc('')
    proc.debugfs = debugfs
    const vm = { threads: [100, first], fds: [9], vcpus: [{ id: 0, tid: first }], ...traits }
    return findVmFolder(proc.debugfsView(...counts), vm)?.path
  }
  const other = { '100-8/exits': '1\n', '101-9/exits': '1\n' }
  t.equal(find({ ...folder, ...other }), '100-9')
  t.equal(find({ [`${first}-9/exits`]: '1\n' }), `${first}-9`, 'made by another thread than the main one')
  t.equal(find(other), undefined)
  t.equal(find({}), undefined)
  t.equal(find(folder, { vcpus: [{ id: 0, tid: 555 }] }), undefined, 'one that another VM has still')
  const locked = new FakeProc('')
  locked.debugfs = folder
  const view = {
    ...locked.debugfsView(...counts),
    read: (path: string) => (path.endsWith('pid') ? '0\n' : undefined),
  }
  const vm = { threads: [100], fds: [9], vcpus: [{ id: 0, tid: first }] }
  t.equal(findVmFolder(view, vm), undefined, 'a kernel that is locked down opens no count')
  const two = { '100-9/exits': '1\n', [`${first}-9/exits`]: '1\n' }
  t.equal(find(two), undefined, 'either may be it')
})
