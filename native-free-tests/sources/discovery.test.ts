import t from 'tap'
import { parseKvmLink, vmLinks } from '../../src/sources/discovery/kvm-links.js'
import { parseStat, parseSyscall, vcpuOfComm } from '../../src/sources/discovery/proc-text.js'
import { ProcessScan } from '../../src/sources/discovery/process-scan.js'
import { qemuGuestName } from '../../src/sources/discovery/qemu-name.js'
import { StatsGuests } from '../../src/sources/discovery/stats-guests.js'
import { FakeProc } from './support/fake-proc.js'
import { FakeTimers } from './support/fake-timers.js'

const RUN = (fd: number) => `syscall=16 0x${fd.toString(16)} 0xae80 0x0 0x0 0x0 0x0 0x7f 0x7f`
const FUTEX = 'syscall=202 0x5572610d77a8 0x0 0xffffffff 0x0 0x0 0x0 0x7fc0 0x7fc0'

/** QEMU 8.1 or newer with two vCPUs, as /proc shows it. */
const qemu = `
  process 100 start=5 cmd=/usr/bin/qemu-system-x86_64,,-name,,guest=web,debug-threads=on
  fd 3 /dev/kvm
  fd 9 anon_inode:kvm-vm
  fd 10 anon_inode:kvm-vcpu:0
  fd 11 anon_inode:kvm-vcpu-stats:0
  fd 12 anon_inode:kvm-vcpu:1
  fd 13 anon_inode:kvm-vcpu-stats:1`
const threads = `
  thread 101 start=6 comm=CPU 0/KVM|${RUN(10)}
  thread 102 start=6 comm=CPU 1/KVM|${FUTEX}
  thread 103 start=7 comm=kvm-nx-lpage-re|${RUN(10)}|wchan=vhost_task_fn`

async function look(proc: FakeProc, guests?: StatsGuests, timers = new FakeTimers()) {
  const machine = { view: proc, descriptors: proc, timers, debugfs: proc.debugfsView() }
  const looking = (guests ?? new StatsGuests(machine)).look(true, () => true)
  await timers.pass(100)
  return looking
}

/** Threads by vCPU of each VM found. */
const mapOf = async (text: string, debugfs: Record<string, string> = {}) => {
  const { vms } = await look(Object.assign(new FakeProc(text), { debugfs }))
  return vms.map(({ vcpus }) => Object.fromEntries(vcpus.map(({ id, tid }) => [id, tid])))
}

t.test('parseStat() finds the start time behind a command with blanks and parentheses', async t => {
  const line = `7899 (CPU 0/KVM) S) S ${'0 '.repeat(18)}322481 ${'0 '.repeat(20)}3 0`
  t.strictSame(parseStat(line), { state: 'S', startTime: 322481n, guestTime: 3n })
  for (const text of ['', '1 (a', '1 (a) S 1 2', 'x']) t.equal(parseStat(text), undefined, text)
})

t.test('parseSyscall() tells a call from running, and vcpuOfComm() knows the names of VMMs', async t => {
  t.equal(parseSyscall('running\n'), 'running')
  t.match(parseSyscall('16 0xa 0xae80 0x0'), { number: 16, args: [10n, 0xae80n, 0n] })
  for (const text of ['', 'x', '16 a b', '16 0xzz']) t.equal(parseSyscall(text), undefined, text)
  const names = ['CPU 3/KVM', 'fc_vcpu 3', 'vcpu3', 'crosvm_vcpu3', 'kvm-vcpu-3']
  t.strictSame(names.map(vcpuOfComm), [3, 3, 3, 3, 3])
  t.strictSame(['CPU 3/TCG', 'vcpu', 'myvcpu3', 'worker'].map(vcpuOfComm), Array(4).fill(undefined))
})

t.test('qemuGuestName() reads -name as QEMU does', async t => {
  const of = (...args: string[]) => qemuGuestName(['/usr/bin/qemu-system-x86_64', ...args])
  t.equal(of('-m', '64', '-name', 'web'), 'web')
  t.equal(of('--name', 'web,debug-threads=on'), 'web')
  t.equal(of('-name', 'debug-threads=on,guest=a,,b'), 'a,b')
  t.equal(of('-name', 'debug-threads=on'), undefined)
  t.equal(of('-name'), undefined)
  t.equal(qemuGuestName(['/bin/find', '-name', 'x']), undefined)
  t.equal(qemuGuestName([]), undefined)
})

t.test('vmLinks() keeps several VMs of a process apart, and says when it cannot', async t => {
  const of = (...links: string[]) =>
    vmLinks(links.flatMap((link, i) => parseKvmLink(i, `anon_inode:kvm-${link}`) ?? []))
  const ids = (found: ReturnType<typeof of>) =>
    found.vms.map(vcpus => vcpus.map(({ id, stats }) => [id, stats?.fd]))
  const two = of('vm', 'vcpu:0', 'vcpu-stats:0', 'vcpu:1', 'vcpu-stats:1', 'vm', 'vcpu:0', 'vcpu-stats:0')
  t.strictSame(ids(two), [
    [
      [0, 2],
      [1, 4],
    ],
    [[0, 7]],
  ])
  t.equal(two.isAmbiguous, false)
  t.equal(of('vm', 'vm', 'vcpu:0', 'vcpu:0', 'vcpu-stats:0').isAmbiguous, true)
  const duplicated = of('vm', 'vcpu:0', 'vcpu:1', 'vcpu:0', 'vcpu:1')
  t.strictSame(
    duplicated.vms[0]?.map(({ fds }) => fds),
    [
      [1, 3],
      [2, 4],
    ],
    'as Firecracker does',
  )
  t.equal(parseKvmLink(3, '/tmp/anon_inode:kvm-vm'), undefined)
})

t.test("look() describes a QEMU guest, and leaves the kernel's recovery thread out", async t => {
  const proc = new FakeProc(qemu + threads)
  const { vms, uncounted } = await look(proc)
  t.match(vms, [{ name: 'web', tgid: 100, startTime: 5n, isReal: true, source: 'stats' }])
  t.match(vms[0]?.vcpus, [
    { id: 0, tid: 101, startTime: 6n },
    { id: 1, tid: 102, startTime: 6n },
  ])
  t.strictSame(
    vms[0]?.vcpus.map(({ statsFd }) => proc.ownLink(statsFd ?? -1)),
    ['anon_inode:kvm-vcpu-stats:0', 'anon_inode:kvm-vcpu-stats:1'],
  )
  t.strictSame(uncounted, [])
})

t.test('look(): what a thread is seen doing goes before its name', async t => {
  const swapped = `
    thread 101 start=6 comm=CPU 0/KVM|${RUN(12)}
    thread 102 start=6 comm=CPU 1/KVM|${RUN(10)}`
  t.strictSame(await mapOf(qemu + swapped), [{ 0: 102, 1: 101 }])
})

t.test('look(): the name of a thread is no evidence where vCPU numbers have gaps', async t => {
  const gaps = `
    process 100 start=5
    fd 9 anon_inode:kvm-vm
    fd 10 anon_inode:kvm-vcpu:0
    fd 11 anon_inode:kvm-vcpu-stats:0
    fd 12 anon_inode:kvm-vcpu:4
    fd 13 anon_inode:kvm-vcpu-stats:4
    thread 101 start=6 comm=CPU 0/KVM|${FUTEX}
    thread 104 start=6 comm=CPU 1/KVM|${RUN(12)}
    thread 105 start=6 comm=CPU 4/KVM|${FUTEX}`
  t.strictSame(await mapOf(gaps), [{ 4: 104 }])
})

t.test(
  'look(): a thread that is always running is found when it alone is left and has run a guest',
  async t => {
    const busy = (guest: number) => `
    thread 101 start=6 comm=qemu|${RUN(10)}
    thread 102 start=6 comm=qemu|syscall=running|guest=${guest}
    thread 103 start=6 comm=qemu|syscall=running|guest=0`
    t.strictSame(await mapOf(qemu + busy(4)), [{ 0: 101, 1: 102 }])
    t.strictSame(await mapOf(qemu + busy(0)), [{ 0: 101 }])
    t.match((await look(new FakeProc(qemu + busy(0)))).uncounted, [
      { tgid: 100, name: 'web', vcpus: [1], reason: /which thread/, remedy: /debug-threads=on/ },
    ])
  },
)

t.test('look(): debugfs shows who entered a vCPU, where no thread is seen in it', async t => {
  const idle = `
    thread 101 start=6 comm=worker|${FUTEX}
    thread 102 start=6 comm=CPU 0/KVM|${FUTEX}
    thread 103 start=7 comm=CPU 1/KVM|${FUTEX}`
  const entered = (first: number, second: number) => ({
    '100-9/vcpu0/pid': `${first}\n`,
    '100-9/vcpu1/pid': `${second}\n`,
  })
  t.strictSame(await mapOf(qemu + idle), [{ 0: 102, 1: 103 }], 'names are all there is')
  t.strictSame(await mapOf(qemu + idle, entered(103, 101)), [{ 0: 103, 1: 101 }], 'it goes before names')
  t.strictSame(await mapOf(qemu + idle, entered(102, 0)), [{ 0: 102, 1: 103 }], 'one that has never run')
  const seen = idle.replace(`worker|${FUTEX}`, `worker|${RUN(10)}`)
  t.strictSame(
    await mapOf(qemu + seen, entered(103, 102)),
    [{ 0: 101, 1: 102 }],
    'what is seen goes before it',
  )
  t.strictSame(await mapOf(qemu + idle, entered(55, 56)), [{ 0: 102, 1: 103 }], 'threads of another process')
  const twice = { ...entered(103, 101), '101-9/vcpu0/pid': '101\n' }
  t.strictSame(
    await mapOf(qemu + idle, twice),
    [{ 0: 102, 1: 103 }],
    'which folder is its own cannot be told',
  )
})

t.test('look(): debugfs keeps the vCPUs of several VMs of a process apart', async t => {
  const two = `${qemu}
    fd 19 anon_inode:kvm-vm
    fd 20 anon_inode:kvm-vcpu:0
    fd 21 anon_inode:kvm-vcpu-stats:0
    thread 101 start=6 comm=vcpu0|${FUTEX}
    thread 102 start=6 comm=vcpu1|${FUTEX}
    thread 103 start=6 comm=vcpu0|${FUTEX}`
  t.strictSame(await mapOf(two), [{}, {}], 'a name does not tell which VM is meant')
  const debugfs = { '100-9/vcpu0/pid': '101', '100-9/vcpu1/pid': '102', '100-19/vcpu0/pid': '103' }
  t.strictSame(await mapOf(two, debugfs), [{ 0: 101, 1: 102 }, { 0: 103 }])
})

const vmmNames = {
  QEMU: 'CPU %/KVM',
  Firecracker: 'fc_vcpu %',
  'cloud-hypervisor': 'vcpu%',
  crosvm: 'crosvm_vcpu%',
  kvmtool: 'kvm-vcpu-%',
}

t.test('look(): idle vCPUs are found by the names that each VMM gives to their threads', async t => {
  for (const [vmm, name] of Object.entries(vmmNames)) {
    const named = (vcpu: number) => name.replace('%', String(vcpu))
    const idle = `
      thread 101 start=6 comm=${named(0)}|${FUTEX}
      thread 102 start=6 comm=${named(1)}|${FUTEX}
      thread 103 start=6 comm=kvm-nx-lpage-re|${RUN(12)}|wchan=0
      thread 104 start=5 comm=${named(1)}|${RUN(12)}|wchan=vhost_task_fn`
    t.strictSame(await mapOf(qemu + idle), [{ 0: 101, 1: 102 }], vmm)
  }
})

t.test('look(): a vCPU that is plugged in gets no thread that runs another', async t => {
  const proc = new FakeProc(
    `${qemu}\nthread 101 start=6 comm=q|${RUN(10)}\nthread 102 start=6 comm=q|${RUN(12)}`,
  )
  const timers = new FakeTimers()
  const guests = new StatsGuests({ view: proc, descriptors: proc, timers })
  const tidsNow = async () => (await look(proc, guests, timers)).vms[0]?.vcpus.map(({ id, tid }) => [id, tid])
  const both = [
    [0, 101],
    [1, 102],
  ]
  t.strictSame(await tidsNow(), both)
  const plugged = `${qemu}\nfd 14 anon_inode:kvm-vcpu:2\nfd 15 anon_inode:kvm-vcpu-stats:2`
  const busy = `
    thread 101 start=6 comm=q|syscall=running|guest=9
    thread 102 start=6 comm=q|${FUTEX}`
  proc.become(plugged + busy)
  t.strictSame(await tidsNow(), both, 'its own thread is not there yet')
  proc.become(`${plugged}${busy}\nthread 103 start=9 comm=q|syscall=running|guest=1`)
  t.strictSame(await tidsNow(), [...both, [2, 103]])
})

t.test('look(): a thread id that is used again is not the vCPU it was', async t => {
  const running = `\nthread 101 start=6 comm=q|${RUN(10)}\nthread 102 start=6 comm=q|${RUN(12)}`
  const proc = new FakeProc(qemu + running)
  const guests = new StatsGuests({ view: proc, descriptors: proc, timers: new FakeTimers() })
  const [before] = (await look(proc, guests)).vms
  proc.become(`${qemu}\nthread 101 start=6 comm=q|${RUN(10)}\nthread 102 start=30 comm=q|${FUTEX}`)
  const [after] = (await look(proc, guests)).vms
  t.strictSame(
    after?.vcpus.map(({ tid }) => tid),
    [101],
    'thread 102 is a worker now',
  )
  t.equal(after?.key, before?.key)
  proc.become(`${qemu}\nthread 101 start=30 comm=q|${RUN(12)}\nthread 102 start=30 comm=q|${RUN(10)}`)
  const [swapped] = (await look(proc, guests)).vms
  t.strictSame(
    swapped?.vcpus.map(({ id, tid, startTime }) => [id, tid, startTime]),
    [
      [0, 102, 30n],
      [1, 101, 30n],
    ],
  )
})

t.test('look(): a thread that is running is looked at again', async t => {
  const timers = new FakeTimers()
  const before = '\nthread 101 start=6 comm=q|syscall=running\nthread 102 start=6 comm=q|syscall=running'
  const proc = new FakeProc(qemu + before)
  const looking = new StatsGuests({ view: proc, descriptors: proc, timers }).look(true, () => true)
  await timers.pass(1)
  proc.become(`${qemu}\nthread 101 start=6 comm=q|${RUN(10)}\nthread 102 start=6 comm=q|${RUN(12)}`)
  await timers.pass(20)
  const { vms } = await looking
  t.strictSame(
    vms[0]?.vcpus.map(({ tid }) => tid),
    [101, 102],
  )
})

t.test(
  'look() takes a descriptor once, and keeps what it knows of threads that tell nothing now',
  async t => {
    const proc = new FakeProc(qemu + threads)
    const guests = new StatsGuests({ view: proc, descriptors: proc, timers: new FakeTimers() })
    const first = await look(proc, guests)
    proc.become(`${qemu}\nthread 101 start=6 comm=q|${FUTEX}\nthread 102 start=6 comm=q|${FUTEX}`)
    const second = await look(proc, guests)
    t.strictSame(second, first)
    t.equal(proc.takes, 2)
  },
)

t.test('look(): a vCPU with another thread is another vCPU, and its descriptor is taken again', async t => {
  const proc = new FakeProc(qemu + threads)
  const guests = new StatsGuests({ view: proc, descriptors: proc, timers: new FakeTimers() })
  const first = await look(proc, guests)
  proc.become(qemu + threads.replace('thread 102 start=6', 'thread 102 start=9'))
  const second = await look(proc, guests)
  t.equal(second.vms[0]?.key, first.vms[0]?.key, 'the VM goes on')
  t.equal(proc.takes, 3)
  proc.become((qemu + threads).replaceAll('start=6', 'start=20').replace('start=5', 'start=19'))
  const third = await look(proc, guests)
  t.not(third.vms[0]?.key, first.vms[0]?.key, 'the same numbers in a new process are a new VM')
})

t.test(
  'look() reports what cannot be counted: no statistics, no rights, several VMs in a muddle',
  async t => {
    const without = qemu.replace(/^.*stats.*$/gm, '') + threads
    t.match(await look(new FakeProc(without)), {
      vms: [],
      uncounted: [
        { tgid: 100, name: 'web', vcpus: [0, 1], reason: /holds no KVM statistics/, remedy: /--qmp/ },
      ],
    })
    const refusing = new FakeProc(qemu + threads)
    refusing.isRefusing = true
    t.match(await look(refusing), { vms: [], uncounted: [{ reason: /not permitted/, remedy: /root/ }] })
    t.equal(refusing.open.size, 0)
    const muddle = `${qemu}\nfd 20 anon_inode:kvm-vm\nfd 21 anon_inode:kvm-vcpu:0`
    t.match(await look(new FakeProc(muddle)), { vms: [], uncounted: [{ reason: /several VMs/ }] })
  },
)

t.test('look() gives a copy back that is not what was looked at', async t => {
  const proc = new FakeProc(qemu + threads)
  proc.ownLink = () => 'pipe:[1234]'
  t.match(await look(proc), { vms: [], uncounted: [{ reason: /closed meanwhile/ }] })
  t.equal(proc.open.size, 0)
})

t.test('look() reads the number of statistics whose link does not show it', async t => {
  const old = (qemu + threads).replaceAll(/kvm-vcpu-stats:\d/g, 'kvm-vcpu-stats')
  const proc = new FakeProc(old.replace('fd 11', 'fd 30').replace('fd 13', 'fd 41'))
  const { vms } = await look(proc)
  t.strictSame(
    vms[0]?.vcpus.map(({ id }) => id),
    [0, 1],
  )
  t.equal(proc.open.size, 2, 'those that were opened to see are closed')
})

t.test('scan() follows only new descriptors of a process that has nothing of KVM', async t => {
  const fds = (count: number) => Array.from({ length: count }, (_, fd) => `fd ${fd} socket:[1]`).join('\n')
  const proc = new FakeProc(`process 7 start=1\n${fds(50)}`)
  const scan = new ProcessScan(proc)
  const cost = (isThorough: boolean) => {
    const before = proc.links
    const found = scan.scan(isThorough, () => true)
    return [found.length, proc.links - before]
  }
  t.strictSame(cost(false), [0, 50])
  t.strictSame(cost(false), [0, 0])
  proc.become(`process 7 start=1\n${fds(52)}`)
  t.strictSame(cost(false), [0, 2])
  t.strictSame(cost(true), [0, 52])
  proc.become(`process 8 start=2\n${fds(52)}`)
  t.strictSame(cost(false), [0, 52], 'another process')
  proc.become(`process 8 start=2\n${fds(52)}\nfd 60 anon_inode:kvm-vm`)
  t.equal(cost(false)[0], 1)
})
