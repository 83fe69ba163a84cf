/** Guests whose VMM gives no statistics, counted by their vCPUs' threads; and what vms/ says of each source. */
import t from 'tap'
import { vmsDirectory } from '../../src/control/vms-directory.js'
import { memoryClient } from '../../src/fuse/memory.js'
import { VmList } from '../../src/kvm/vm-list.js'
import type { GuestsMainOptions } from '../../src/sources/guests-main.js'
import { FakeCounters } from './support/fake-counters.js'
import { FakeProc } from './support/fake-proc.js'
import { FakeQemu, Recording } from './support/fake-qemu.js'
import { FakeTimers } from './support/fake-timers.js'
import { joinGuests } from './support/joined-guests.js'

const kvm = new Recording('qemu-7.2-kvm')
const tids = kvm.threadIds
const guest = `
  process 100 start=5 cmd=qemu-system-x86_64,,-name,,web
  fd 9 anon_inode:kvm-vm
  fd 10 anon_inode:kvm-vcpu:0
  fd 12 anon_inode:kvm-vcpu:1
  thread ${tids[0]} start=6 comm=CPU 0/KVM
  thread ${tids[1]} start=6 comm=CPU 1/KVM`
const firstHeld = '\nfd 11 anon_inode:kvm-vcpu-stats:0'
const bothHeld = `${firstHeld}\nfd 13 anon_inode:kvm-vcpu-stats:1`

const owner = { uid: 0, gid: 0 }

function setUp(text: string, options: GuestsMainOptions, problem?: string) {
  const [proc, timers, qemu, counters] = [
    new FakeProc(text),
    new FakeTimers(),
    new FakeQemu(kvm),
    new FakeCounters(),
  ]
  const vms = new VmList()
  const events =
    problem === undefined
      ? [
          { name: 'exits', id: 5 },
          { name: 'kvm_pio', id: 6 },
        ]
      : []
  const catalogue = { events, ...(problem === undefined ? {} : { problem }) }
  const { main, messages } = joinGuests(t, {
    core: { vms, files: proc, tracepoints: { catalogue, counters } },
    machine: { view: proc, descriptors: proc, connect: qemu.connect, timers },
    options: { tracepoints: events.length > 0, ...options },
  })
  const fs = memoryClient(vmsDirectory(vms, owner))
  const start = async () => {
    const started = main.start()
    await timers.pass(50)
    await started
  }
  return {
    proc,
    timers,
    qemu,
    counters,
    vms,
    fs,
    main,
    start,
    kinds: () => messages.splice(0).map(m => m.kind),
  }
}

t.test('a guest without statistics is counted by its threads', async t => {
  const { start, fs, vms, main, counters } = setUp(guest, { source: 'auto' })
  await start()
  t.equal(fs.read('web/source'), 'tracepoint\n')
  t.equal(fs.read('web/events'), 'exits tracepoint kvm,kvm_vm\nkvm_pio tracepoint kvm,kvm_vm\n')
  t.match(fs.read('web/sources'), /^stats 0 its VMM holds no KVM statistics .* --qmp\ntracepoint 2\n$/)
  t.strictSame(main.uncounted, [])
  const [vm] = vms
  const [vcpu] = vm?.vcpus ?? []
  if (!vm || !vcpu) throw new Error('no VM')
  vm.source.configure_event(vcpu, 'exits', true)
  counters.hit(vcpu.tid, 5, 3n)
  t.equal(vm.source.get_event_count(vcpu, 'exits'), 3n)
})

t.test('statistics come first, tracepoints count the rest', async t => {
  const { start, fs } = setUp(guest + bothHeld, { source: 'auto' })
  await start()
  t.equal(fs.read('web/source'), 'stats,tracepoint\n')
  t.equal(fs.read('web/events'), 'exits stats kvm,kvm_vm\nkvm_pio tracepoint kvm,kvm_vm\n')
  t.equal(fs.read('web/sources'), 'stats 1\ntracepoint 2\n')
})

t.test('a vCPU whose statistics are missing is counted by tracepoints, the others by theirs', async t => {
  const { start, vms } = setUp(guest + firstHeld, { source: 'auto' })
  await start()
  const [vm] = vms
  t.strictSame(
    vm?.vcpus.map(vcpu => vm.source.partFor?.(vcpu, 'exits')?.name),
    ['stats', 'tracepoint'],
  )
})

t.test('statistics that appear later, or go, do not take over in the middle of a count', async t => {
  const { start, vms, proc, timers, kinds } = setUp(guest, { source: 'auto' })
  await start()
  const [before] = [...vms].map(vm => vm.vcpus[0])
  proc.become(guest + bothHeld)
  await timers.pass(1100)
  t.strictSame(kinds(), ['vm-added'], 'nothing has changed')
  t.equal([...vms][0]?.vcpus[0], before)
  t.equal(proc.takes, 0)

  const other = setUp(guest + bothHeld, { source: 'auto' })
  await other.start()
  const [vm] = other.vms
  const [held] = vm?.vcpus ?? []
  other.proc.become(guest)
  await other.timers.pass(1100)
  t.strictSame(other.kinds(), ['vm-added', 'vm-changed'])
  t.not(vm?.vcpus[0], held, 'the vCPU is another: events on the old one end')
  t.equal(vm?.vcpus[0]?.tid, held?.tid)
  t.equal(vm?.source.name, 'tracepoint')
  t.equal(other.proc.open.size, 0)
})

t.test('source "tracepoint" takes no statistics and asks no socket', async t => {
  const { start, fs, proc, qemu } = setUp(guest + bothHeld, {
    source: 'tracepoint',
    sockets: ['/run/vm.sock'],
  })
  await start()
  t.equal(fs.read('web/events'), 'exits tracepoint kvm,kvm_vm\nkvm_pio tracepoint kvm,kvm_vm\n')
  t.equal(fs.read('web/sources'), 'tracepoint 2\n')
  t.equal(proc.takes, 0)
  t.equal(qemu.connections, 0)
})

t.test(
  'where tracepoints cannot be counted they say so, and a guest without statistics is uncounted',
  async t => {
    const why = 'tracefs cannot be read; run pmufs as root'
    const { start, fs } = setUp(guest + bothHeld, { source: 'auto' }, why)
    await start()
    t.equal(fs.read('web/source'), 'stats\n')
    t.equal(fs.read('web/sources'), `stats 1\ntracepoint 0 ${why}\n`)
    const none = setUp(guest, { source: 'auto' }, why)
    await none.start()
    t.equal(none.vms.size, 0)
    t.match(none.main.uncounted, [{ tgid: 100, reason: /no KVM statistics/, vcpus: [0, 1] }])
  },
)

t.test('a QMP socket comes before the threads, and takes over when it is free', async t => {
  const first = setUp(guest, { source: 'auto', sockets: ['/run/vm.sock'] })
  await first.start()
  t.equal(first.fs.read('vm-one/source'), 'qmp,tracepoint\n')
  t.match(first.fs.read('vm-one/events'), /^exits qmp kvm,kvm_vm$/m)
  t.match(first.fs.read('vm-one/events'), /^remote_tlb_flush qmp kvm_vm$/m)
  t.match(first.fs.read('vm-one/sources'), /^vm:qmp 8$/m)
  t.match(first.fs.read('vm-one/events'), /^kvm_pio tracepoint kvm,kvm_vm$/m)

  const later = setUp(guest, { source: 'auto', sockets: ['/run/vm.sock'] })
  later.qemu.isGreeting = false
  const started = later.main.start()
  await later.timers.pass(3100)
  await started
  t.equal(later.fs.read('web/source'), 'tracepoint\n')
  later.qemu.say(later.qemu.recording.greeting)
  await later.timers.pass(1100)
  t.equal(later.vms.size, 1)
  t.equal(later.fs.read('vm-one/source'), 'qmp,tracepoint\n')
})
