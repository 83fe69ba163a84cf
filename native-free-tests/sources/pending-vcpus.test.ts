/** VMs whose vCPUs cannot be told yet: what is known of them is shown and counted, and nothing of them passes for a 0. */
import t from 'tap'
import { vmsDirectory } from '../../src/control/vms-directory.js'
import { memoryClient } from '../../src/fuse/memory.js'
import { KvmPmu } from '../../src/kvm/kvm-pmu.js'
import { VmList } from '../../src/kvm/vm-list.js'
import { PmuRegistry } from '../../src/perf/registry.js'
import type { GuestsMainOptions } from '../../src/sources/guests-main.js'
import { FakeCounters } from './support/fake-counters.js'
import { FakeProc } from './support/fake-proc.js'
import { FakeQemu, Recording } from './support/fake-qemu.js'
import { FakeTimers } from './support/fake-timers.js'
import { joinGuests } from './support/joined-guests.js'

const FUTEX = 'syscall=202 0x5572610d77a8 0x0 0xffffffff 0x0 0x0 0x0 0x7fc0 0x7fc0'
const RUN = (fd: number) => `syscall=16 0x${fd.toString(16)} 0xae80 0x0 0x0 0x0 0x0 0x7f 0x7f`

const vmm = `
  process 100 start=5 cmd=vmm
  fd 9 anon_inode:kvm-vm
  fd 10 anon_inode:kvm-vcpu:0
  fd 12 anon_inode:kvm-vcpu:1`
const thread = (tid: number, does: string) => `\nthread ${tid} start=6 comm=worker|${does}`
const idle = thread(101, FUTEX) + thread(102, FUTEX)
const folder = { '100-9/exits': '7\n', '100-9/vcpu0/pid': '0\n', '100-9/vcpu1/pid': '0\n' }
const stats = '\nfd 11 anon_inode:kvm-vcpu-stats:0\nfd 13 anon_inode:kvm-vcpu-stats:1'

/** A machine with these processes and this debugfs, looked at once. */
async function setUp(
  text: string,
  {
    debugfs = {},
    tracepoints = true,
    ...options
  }: Partial<GuestsMainOptions> & { debugfs?: Record<string, string> } = {},
) {
  const [proc, timers, counters] = [new FakeProc(text), new FakeTimers(), new FakeCounters()]
  const { connect } = new FakeQemu(new Recording('qemu-7.2-kvm'))
  const list = new VmList()
  proc.debugfs = debugfs
  const catalogue = { events: [{ name: 'kvm_pio', id: 6 }] }
  const { main, messages } = joinGuests(t, {
    core: { vms: list, files: proc, tracepoints: tracepoints ? { catalogue, counters } : undefined },
    machine: { view: proc, descriptors: proc, connect, timers, debugfs: proc.debugfsView('exits') },
    options: { source: 'auto', tracepoints, ...options },
  })
  const started = main.start()
  await timers.pass(50)
  await started
  const look = async (now: string) => {
    proc.become(now)
    await timers.pass(1100)
  }
  const fs = memoryClient(vmsDirectory(list, { uid: 0, gid: 0 }))
  const kinds = () => messages.splice(0).map(({ kind }) => kind)
  return { proc, main, list, look, fs, kinds, vm: () => [...list][0] }
}

t.test('it is listed with what is known, and its vCPUs appear as the same VM goes on', async t => {
  const { fs, look, kinds, vm, main } = await setUp(vmm + idle, { debugfs: folder })
  t.equal(fs.read('pid-100/pid'), '100\n')
  t.equal(fs.read('pid-100/pending'), '0 1\n')
  t.equal(fs.read('pid-100/source'), 'tracepoint\n')
  t.equal(fs.read('pid-100/events'), 'kvm_pio tracepoint kvm,kvm_vm\nexits debugfs kvm_vm\n')
  t.strictSame(vm()?.vcpus, [])
  t.equal(vm()?.whole?.get_event_count('exits'), 7n)
  t.match(main.uncounted, [{ tgid: 100, vcpus: [0, 1], reason: /which thread/ }])
  await look(vmm + thread(101, RUN(10)) + thread(102, FUTEX))
  t.equal(fs.read('pid-100/pending'), '1\n')
  t.equal(fs.read('pid-100/vcpu0/tid'), '101\n')
  await look(vmm + idle)
  t.equal(fs.read('pid-100/pending'), '1\n', 'what was seen once is known')
  await look(vmm + thread(101, FUTEX) + thread(102, RUN(12)))
  t.equal(fs.read('pid-100/pending'), '\n')
  t.strictSame(main.uncounted, [])
  t.strictSame(kinds(), ['vm-added', 'vm-changed', 'vm-changed'])
})

t.test('debugfs tells them where it shows who entered a vCPU', async t => {
  const entered = { ...folder, '100-9/vcpu1/pid': '102\n' }
  const { fs } = await setUp(vmm + idle, { debugfs: entered })
  t.equal(fs.read('pid-100/pending'), '0\n')
  t.equal(fs.read('pid-100/vcpu1/tid'), '102\n')
})

t.test('it is another one when its folder is another, whose name is the same', async t => {
  const { fs, look, kinds, proc, vm } = await setUp(vmm + idle, { debugfs: folder })
  await look(vmm + idle)
  t.strictSame(kinds(), ['vm-added'], 'it is the same from look to look')
  const [old] = [vm()]
  proc.inodes.set('100-9', 2)
  await look(vmm + idle)
  t.strictSame(kinds(), ['vm-removed', 'vm-added'])
  t.not(vm(), old)
  await look(vmm + thread(101, RUN(10)) + thread(102, FUTEX))
  t.strictSame(kinds(), ['vm-changed'], 'the vCPU is this one')
  t.match(fs.read('pid-100/events'), /^exits debugfs/m)
  proc.inodes.set('100-9', 3)
  await look(vmm + thread(101, RUN(10)) + thread(102, FUTEX))
  t.strictSame(kinds(), [], 'who is told is known by his threads')
})

t.test(
  "a folder that was taken by its name goes when another thread than the VM's runs its vCPU",
  async t => {
    const { fs, look, kinds, proc, vm } = await setUp(vmm + idle, { debugfs: { ...folder } })
    const [old] = [vm()]
    proc.debugfs['100-9/vcpu0/pid'] = '555\n'
    await look(vmm + thread(101, RUN(10)) + thread(102, FUTEX))
    t.strictSame(kinds(), ['vm-added', 'vm-removed', 'vm-added'])
    t.not(vm(), old)
    t.equal(vm()?.whole, undefined)
    t.equal(fs.read('pid-100/events'), 'kvm_pio tracepoint kvm,kvm_vm\n')
  },
)

t.test('its own statistics are taken once a vCPU is told', async t => {
  const { look, kinds, proc, vm } = await setUp(`${vmm}\nfd 14 anon_inode:kvm-vm-stats${idle}`)
  t.equal(vm()?.whole, undefined)
  t.equal(proc.takes, 0)
  await look(`${vmm}\nfd 14 anon_inode:kvm-vm-stats${thread(101, RUN(10))}${thread(102, FUTEX)}`)
  t.equal(vm()?.whole?.name, 'stats')
  t.strictSame(kinds(), ['vm-added', 'vm-changed'])
})

t.test('one whose statistics are held is counted by them once it is told', async t => {
  const { fs, look, proc, list } = await setUp(vmm + stats + idle, { tracepoints: false })
  t.equal(fs.read('pid-100/pending'), '0 1\n')
  t.equal(fs.read('pid-100/events'), '')
  t.equal(proc.takes, 0)
  const kvm = new KvmPmu(new PmuRegistry(), list)
  const events = () => kvm.hostPmu.attr_groups[0]?.attrs.map(({ name }) => name)
  t.strictSame(events(), [])
  await look(vmm + stats + thread(101, RUN(10)) + thread(102, RUN(12)))
  t.strictSame(events(), ['exits'], 'the PMU has them as soon as the vCPUs are listed')
  t.equal(fs.read('pid-100/events'), 'exits stats kvm,kvm_vm\n')
  t.equal(fs.read('pid-100/pending'), '\n')
})

t.test('a vCPU that lost its thread is unplugged, and none that is to be told', async t => {
  const { fs, look, main } = await setUp(vmm + thread(101, RUN(10)) + thread(102, RUN(12)))
  t.equal(fs.read('pid-100/pending'), '\n')
  await look(vmm + thread(101, RUN(10)))
  t.strictSame(main.uncounted, [])
  t.equal(fs.read('pid-100/pending'), '\n')
  t.notOk(fs.readdir('pid-100').includes('vcpu1'))
})

t.test('a VM that nothing can count is none to list, and yet there', async t => {
  const none = await setUp(vmm + idle, { tracepoints: false })
  t.equal(none.list.size, 0)
  t.equal(none.main.isAnyVm, true)
  t.match(none.main.uncounted, [{ tgid: 100, vcpus: [0, 1], reason: /holds no KVM statistics/ }])
  const bare = await setUp('process 100 start=5\nfd 9 anon_inode:kvm-vm')
  t.equal(bare.list.size, 0, 'its vCPUs are not made yet')
  t.equal(bare.main.isAnyVm, true)
  const reader = await setUp('process 100 start=5\nfd 9 anon_inode:kvm-vcpu-stats:0\nfd 8 /dev/kvm')
  t.equal(reader.main.isAnyVm, false, 'who reads statistics runs no VM')
})

t.test('source "debugfs" counts VMs as wholes, by debugfs alone, and says where it cannot', async t => {
  const running = vmm + stats + thread(101, RUN(10)) + thread(102, FUTEX)
  const only = { source: 'debugfs', tracepoints: false } as const
  const { fs, proc, main } = await setUp(running, { ...only, debugfs: folder })
  t.equal(fs.read('pid-100/source'), 'debugfs\n')
  t.equal(fs.read('pid-100/sources'), 'vm:debugfs 1\n')
  t.equal(fs.read('pid-100/events'), 'exits debugfs kvm_vm\n')
  t.equal(fs.read('pid-100/vcpu0/tid'), '101\n')
  t.equal(fs.read('pid-100/pending'), '1\n')
  t.equal(proc.takes, 0)
  t.strictSame(main.uncounted, [])
  const locked = await setUp(running, only)
  t.equal(locked.list.size, 0)
  t.match(locked.main.uncounted, [
    { tgid: 100, vcpus: [0, 1], reason: /no folder in debugfs/, remedy: /root/ },
  ])
})
