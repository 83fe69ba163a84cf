/** Counts by KVM's tracepoints: exact, in step with the statistics, and nothing in the kernel while nobody counts. */
import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import { startDemo } from '../src/os/demo-process.js'
import { threadStat } from '../src/os/proc-stat.js'
import { kvmKind, tracepointCounters, withKvmFormats } from '../src/os/tracepoints.js'
import { parseFormat } from '../src/sources/tracepoint/catalogue.js'
import { exitReasonKinds } from '../src/sources/tracepoint/exit-reasons.js'
import { closeHandles, openHandle, openHandles, readCounts, vmOf } from './support/handles.js'
import { microVmm } from './support/micro-vmm.js'
import { type Mounted, mounted, pmufs, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { patience } from './support/patience.js'
import { perfStat } from './support/perf.js'
import { qemu } from './support/qemu.js'
import { scaled } from './support/scale.js'

const program = new URL('../dist/os/demo-guest/main.js', import.meta.url)
const hasGuest =
  process.arch === 'x64' ? needs('root', 'fuse', 'kvm', 'perf') : { skip: "the guest's code is x86's" }
const hasMicroVmm = process.arch === 'x64' ? needs('root', 'fuse', 'kvm', 'gcc', 'perf') : hasGuest

const BURST = scaled(100_000)

/** A guest that makes known numbers of events. */
interface Guest {
  readonly pid: number
  readonly tid: number
  burst(kind: 'port' | 'mmio' | 'halt', count: number): Promise<void>
}

async function demoGuest(test: Test): Promise<Guest> {
  const demo = await startDemo({ program })
  test.teardown(() => demo.stop())
  await demo.request({ op: 'pause' })
  const { pid, vcpus } = demo.ready
  return {
    pid,
    tid: vcpus[0]?.tid ?? 0,
    burst: (kind, count) => demo.request({ op: 'burst', vcpu: 0, kind, count }),
  }
}

async function cGuest(test: Test): Promise<Guest> {
  const vmm = await microVmm(test)
  return {
    pid: vmm.process.pid ?? 0,
    tid: vmm.tids[0] ?? 0,
    burst: (kind, count) => vmm.burst(kind, 0, count),
  }
}

/** How many perf events of the kernel a server holds. */
const perfEvents = (mount: Mounted): number =>
  readdirSync(`/proc/${mount.server.pid}/fd`).filter(fd => {
    try {
      return readlinkSync(`/proc/${mount.server.pid}/fd/${fd}`) === 'anon_inode:[perf_event]'
    } catch {
      return false
    }
  }).length

/** The tracepoint's own count of each kind, and why the guest returned to its VMM. */
const exactFor = {
  port: ['trace_kvm_pio', 'userspace_exit_io'],
  mmio: ['trace_kvm_mmio', 'userspace_exit_mmio'],
  halt: ['userspace_exit_hlt'],
} as const
const exactEvents = Object.values(exactFor).flat()

async function checkExactness(t: Test, mount: Mounted, guest: Guest): Promise<void> {
  const handles = await openHandles(mount, exactEvents, guest.tid)
  const expected = Object.fromEntries(exactEvents.map(event => [event, 0]))
  t.same(await readCounts(mount, handles), expected, 'a guest that stands still counts nothing')
  for (const kind of ['port', 'mmio', 'halt'] as const) {
    await guest.burst(kind, BURST)
    for (const event of exactFor[kind]) expected[event] = BURST
    t.same(await readCounts(mount, handles), expected, `${BURST} of ${kind}, and no other`)
  }
  await closeHandles(mount, handles.values())
}

for (const [name, start, options] of [
  ['the demo guest', demoGuest, hasGuest],
  ['a VMM in C', cGuest, hasMicroVmm],
] as const)
  t.test(`${name} is counted by tracepoints`, options, async t => {
    const guest = await start(t)
    const mount = await mounted(t, '--source', 'tracepoint')
    const both = await mounted(t, '--source', 'auto')

    await t.test('exactly, each event by itself', t => checkExactness(t, mount, guest))

    await t.test('as by its statistics, where these mean the same', async t => {
      const events = ['insn_emulation', 'insn_emulation_fail', 'fpu_reload']
      const vm = await vmOf(both, guest.pid)
      for (const event of events)
        t.equal((await both.sh(`grep '^${event} ' vms/${vm}/events`)).stdout, `${event} stats kvm,kvm_vm`)
      const [traced, kept] = [
        await openHandles(mount, events, guest.tid),
        await openHandles(both, events, guest.tid),
      ]
      for (const kind of ['port', 'mmio', 'halt'] as const) await guest.burst(kind, 12_345)
      const counts = await readCounts(mount, traced)
      t.same(counts, await readCounts(both, kept))
      t.ok(
        Object.values(counts).some(count => count >= 12_345),
        JSON.stringify(counts),
      )
      await closeHandles(mount, traced.values())
      await closeHandles(both, kept.values())
    })

    await t.test('and costs it nothing while nobody counts', async t => {
      const closed = (count: number) => until(`${count} perf events`, () => perfEvents(mount) === count)
      await closed(0)
      const first = await openHandle(mount, 'trace_kvm_pio', guest.tid)
      t.equal(perfEvents(mount), 2, "the thread's clock, and the tracepoint")
      const second = await openHandle(mount, 'kvm_pio', guest.tid)
      t.equal(perfEvents(mount), 2, 'two who count share it, whichever of its names they use')
      await guest.burst('port', 10)
      await closeHandles(mount, [first])
      await guest.burst('port', 10)
      t.equal((await mount.sh(`cat ${second}/count`)).stdout, '20', 'one has left, and it counts on')
      await mount.sh(`echo 0 > ${second}/enable`)
      await closed(1)
      await guest.burst('port', 10)
      await mount.sh(`echo 1 > ${second}/enable`)
      await guest.burst('port', 5)
      t.equal((await mount.sh(`cat ${second}/count`)).stdout, '25', 'what came while it was off is not in it')
      await closeHandles(mount, [second])
      await closed(0)
    })

    await t.test('through perf, by the names of the exit reasons', async t => {
      const events = 'kvm/userspace_exit_io/,kvm/userspace_exit_mmio/,kvm/trace_kvm_pio/'
      const lines = await perfStat(mount, ['-e', events, '-t', String(guest.tid)], async () => {
        t.equal(perfEvents(mount), 4, 'perf has armed all three')
        await guest.burst('port', 4321)
      })
      t.strictSame(
        lines.map(line => line.split(',')[0]),
        ['4321', '0', '4321'],
      )
    })

    await t.test('as a whole too, summed over its vCPUs', async t => {
      const ofVm = (pmu: string) =>
        `${pmu}/userspace_exit_io/,${pmu}/userspace_exit_mmio/,${pmu}/trace_kvm_pio/`
      const options = ['-p', String(guest.pid), '-e', `${ofVm('kvm_vm')},${ofVm('kvm')}`]
      const lines = await perfStat(mount, options, () => guest.burst('port', 4321))
      t.strictSame(
        lines.map(line => line.split(',')[0]),
        ['4321', '0', '4321', '4321', '0', '4321'],
      )
    })

    await t.test('until its end, after which the last count stays', async t => {
      const path = await openHandle(mount, 'trace_kvm_pio', guest.tid)
      await guest.burst('port', 777)
      process.kill(guest.pid, 'SIGKILL')
      await until('the event has ended', async () => (await mount.sh(`cat ${path}/state`)).stdout === 'exit')
      t.equal((await mount.sh(`cat ${path}/count`)).stdout, '777')
      await closeHandles(mount, [path])
      await until('no perf event is left', () => perfEvents(mount) === 0)
    })
  })

t.test('a QEMU without a QMP socket for us', needs('root', 'fuse', 'kvm', 'qemu'), async t => {
  const guest = await qemu(t, { name: 'old', vcpus: 2 })
  const mount = await mounted(t)
  await until(
    'its threads are known',
    async () => (await mount.sh('ls vms/old/vcpu0 vms/old/vcpu1')).exitCode === 0,
  )

  await t.test('is found by its threads', async t => {
    const { stdout } = await mount.sh('cat vms/old/vcpu0/tid vms/old/vcpu1/tid vms/old/pid')
    t.equal(stdout, [...(await guest.tids()), guest.process.pid].join('\n'))
  })

  await t.test('says what counts it, and why its statistics do not', async t => {
    t.equal((await mount.sh('cat vms/old/source')).stdout, 'tracepoint')
    const vmsEvents = (...args: string[]) =>
      execa(process.execPath, [pmufs, 'vms', '--events', '--mount', mount.dir, ...args])
    const { stdout } = await vmsEvents()
    t.match(stdout, /^old +insn_emulation +tracepoint +kvm,kvm_vm$/m)
    t.match(
      stdout,
      /old: source stats counts nothing: its VMM holds no KVM statistics descriptors open; .*--qmp/,
    )
    const json = JSON.parse((await vmsEvents('--json')).stdout)
    const vm = json.find((one: { name: string }) => one.name === 'old')
    t.match(vm.sources, [{ source: 'stats', events: 0, problem: /QEMU 8\.1/ }, { source: 'tracepoint' }])
    const ofVcpus = vm.events.filter(({ pmus }: { pmus: string[] }) => pmus.includes('kvm'))
    t.ok(ofVcpus.length > 30)
    t.ok(ofVcpus.every(({ source }: { source: string }) => source === 'tracepoint'))
  })

  await t.test('counts what its own query-stats says, where that means the same', async t => {
    const events = ['insn_emulation', 'insn_emulation_fail', 'fpu_reload']
    await guest.qmp.run('stop')
    const before = await Promise.all(events.map(event => guest.counts(event)))
    const handles = await Promise.all((await guest.tids()).map(tid => openHandles(mount, events, tid)))
    await guest.qmp.cont()
    await sleep(patience(500))
    await guest.qmp.run('stop')
    const after = await Promise.all(events.map(event => guest.counts(event)))
    for (const [vcpu, ofVcpu] of handles.entries()) {
      const own = events.map((event, i) => [event, (after[i]?.[vcpu] ?? 0) - (before[i]?.[vcpu] ?? 0)])
      t.same(await readCounts(mount, ofVcpu), Object.fromEntries(own), `vCPU ${vcpu}: ${own.join('; ')}`)
      await closeHandles(mount, ofVcpu.values())
    }
    await guest.qmp.cont()
  })
})

t.test('a tracepoint that this KVM never raises is not offered', hasGuest, async t => {
  const guest = await demoGuest(t)
  const mount = await mounted(t, '--source', 'tracepoint')
  const startTime = threadStat(guest.tid)?.startTime ?? 0n
  const id = withKvmFormats(read => parseFormat(read('kvm_exit') ?? '')?.id ?? 0)
  const fd = tracepointCounters.open({ id }, { tid: guest.tid, startTime })
  t.teardown(() => tracepointCounters.close(fd))
  await guest.burst('port', 1000)
  const isRaised = tracepointCounters.read(fd) > 0n
  t.comment(`kvm_exit is ${isRaised ? '' : 'not '}raised by this KVM: ${kvmKind()}`)
  const vm = await vmOf(mount, guest.pid)
  t.equal((await mount.sh(`grep -q '^trace_kvm_exit ' vms/${vm}/events`)).exitCode === 0, isRaised)
  t.equal((await mount.sh(`grep -q '^exit_hlt ' vms/${vm}/events`)).exitCode === 0, isRaised)
})

t.test('the kernel takes the filter of every exit reason of x86', hasGuest, async t => {
  const format = withKvmFormats(read => read('kvm_exit') ?? '')
  const id = parseFormat(format)?.id ?? 0
  const thread = { tid: process.pid, startTime: threadStat(process.pid)?.startTime ?? 0n }
  for (const { name, filter = '' } of [
    ...exitReasonKinds('intel', format),
    ...exitReasonKinds('amd', format),
  ]) {
    try {
      tracepointCounters.close(tracepointCounters.open({ id, filter }, thread))
    } catch (error) {
      t.fail(`${name}: ${filter}: ${String(error)}`)
    }
  }
  t.ok(exitReasonKinds('intel', format).length > 50 && exitReasonKinds('amd', format).length > 100)
  t.throws(() => tracepointCounters.open({ id, filter: 'no_such_field==1' }, thread), { code: 'EINVAL' })
  t.throws(() => tracepointCounters.open({ id }, { ...thread, startTime: 1n }), { code: 'ESRCH' })
})

t.test('tracefs is read where it is not mounted, and stays unmounted', needs('root'), async t => {
  const script = `
    import { readFileSync } from 'node:fs'
    import { withTracefs } from '${new URL('../dist/os/tracefs.js', import.meta.url).href}'
    const format = withTracefs(read => read('events/sched/sched_switch/format'))
    console.log(format.split('\\n')[0], withTracefs(read => read('events/sched/none/format')))
    console.log(readFileSync('/proc/self/mountinfo', 'utf8').includes('tracefs'))`
  const { stdout } = await execa('unshare', [
    '--mount',
    'bash',
    '-c',
    'umount /sys/kernel/tracing 2>/dev/null; exec "$0" --input-type=module -e "$1"',
    process.execPath,
    script,
  ])
  t.equal(stdout, 'name: sched_switch undefined\nfalse')
})
