/** The demo guest, real and simulated: what it counts, what it costs, and that nothing of it is left behind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { type DemoOptions, type DemoProcess, startDemo } from '../src/os/demo-process.js'
import { takeDescriptor } from '../src/os/descriptors.js'
import { close, machine } from '../src/os/libc.js'
import { exactStatistics, movedExactly, type ProbedGuest } from '../src/sources/demo/exactness.js'
import { kindsOf, sledOf } from '../src/sources/demo/guest-program.js'
import { type BurstKind, burstKinds } from '../src/sources/demo/protocol.js'
import type { VmDescription } from '../src/sources/messages.js'
import { builtMicroVmm } from './support/micro-vmm.js'
import { end, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { PATIENCE } from './support/patience.js'
import { readStatistics } from './support/statistics.js'

const program = new URL('../dist/os/demo-guest/main.js', import.meta.url)
const owner = new URL('../dist/os/demo-process.js', import.meta.url)

const realGuest = needs('kvm', 'root')
const kinds = kindsOf(machine())

/** User and system time of a process so far, in milliseconds (USER_HZ is 100). */
function cpuTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** Whether a process still does anything; one that its parent has not waited for does not. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return !stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z')
  } catch {
    return false
  }
}

const gone = (pid: number) => until(`end of process ${pid}`, () => !isAlive(pid))

interface Guest {
  readonly demo: DemoProcess
  readonly description: VmDescription
  readonly read: (vcpu: number) => Map<string, bigint>
}

/** A guest until the test's end, read through descriptors that were taken from its process. */
async function guestFor(test: Test, options: DemoOptions = {}): Promise<Guest> {
  const demo = await startDemo({ program, ...options })
  const description = demo.describe()
  const fds = description.vcpus.map(vcpu => vcpu.statsFd ?? -1)
  test.teardown(async () => {
    fds.forEach(close)
    await demo.stop()
  })
  return { demo, description, read: vcpu => readStatistics(fds[vcpu] ?? -1) }
}

/** A WFI that an interrupt of the host's coincides with need not trap: KVM may see one less. */
async function checkWaits(t: Test, { demo, read }: Guest, kind: BurstKind): Promise<void> {
  const count = 500
  const start = read(0).get('wfi_exit_stat') ?? 0n
  await demo.request({ op: 'burst', vcpu: 0, kind, count })
  const moved = Number((read(0).get('wfi_exit_stat') ?? 0n) - start)
  t.ok(moved > count * 0.99 && moved <= count, `${count} of ${kind} are counted as ${moved}`)
}

async function checkExactness(t: Test, guest: Guest): Promise<void> {
  const { demo, read } = guest
  const other = read(1)
  for (const kind of kinds) {
    if (sledOf(machine(), kind).blocks) {
      await checkWaits(t, guest, kind)
      continue
    }
    const exact = await exactStatistics({ request: command => demo.request(command), read }, 0, kind)
    t.comment(`exact for ${kind}: ${exact.join(', ')}`)
    const start = read(0)
    await demo.request({ op: 'burst', vcpu: 0, kind, count: 12_345 })
    const moved = movedExactly(start, read(0), 12_345)
    t.ok(
      exact.some(name => moved.has(name)),
      `12345 of ${kind} are counted as 12345`,
    )
  }
  t.same(read(1), other, 'a burst of one vCPU is none of the other')
}

/** The part of a CPU that a process takes during two seconds. */
async function cpuShare(pid: number): Promise<number> {
  const start = { cpu: cpuTime(pid), wall: performance.now() }
  await sleep(2000)
  return (cpuTime(pid) - start.cpu) / (performance.now() - start.wall)
}

/** What holds of either kind of guest, from its start to its end: starting one costs a second. */
async function checkGuest(t: Test, guest: Guest): Promise<void> {
  const { demo, read } = guest
  const { pid, kind, vcpus } = demo.ready

  t.same(
    vcpus.map(({ tid }) => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8')),
    ['vcpu0\n', 'vcpu1\n'],
    'each vCPU has a thread that is named after it',
  )
  const before = read(0).get('exits') ?? 0n
  await until('exits of a guest that runs', () => (read(0).get('exits') ?? 0n) > before)
  const share = await cpuShare(pid)
  t.comment(`${kind}: ${(share * 100).toFixed(1)} % of a CPU`)
  // Where an exit takes longer the same few take more of a CPU.
  t.ok(share < 1 - 0.6 / PATIENCE, 'a guest that runs leaves most of a CPU to others')

  await t.rejects(demo.request({ op: 'burst', vcpu: 0, kind: 'port', count: 1 }), { message: /pause/ })
  await demo.request({ op: 'pause' })
  const still = [read(0), read(1)]
  await sleep(200)
  t.same([read(0), read(1)], still, 'no statistic of a paused guest moves')
  await checkExactness(t, guest)
  await t.rejects(demo.request({ op: 'burst', vcpu: 2, kind: 'mmio', count: 1 }), { message: /no vCPU 2/ })
  for (const kind of burstKinds.filter(name => !kinds.includes(name)))
    await t.rejects(demo.request({ op: 'burst', vcpu: 0, kind, count: 1 }), { message: /no instruction/ })

  const endless = demo.request({ op: 'burst', vcpu: 0, kind: 'mmio', count: 2 ** 40 }).catch(String)
  await demo.stop()
  t.notOk(isAlive(pid), 'it has ended, a long burst being no obstacle')
  await endless
  await t.rejects(demo.request({ op: 'run' }), { code: 'ESRCH', message: /has ended/ })
}

t.test('the real demo guest counts exactly, costs little and ends when told to', realGuest, async t => {
  const guest = await guestFor(t)
  t.match(guest.demo.ready, { kind: 'kvm', reason: undefined })
  t.match(guest.description, { isReal: true, source: 'stats', tgid: guest.demo.ready.pid })
  for (const { id, statsFd } of guest.demo.ready.vcpus) {
    const link = readlinkSync(`/proc/${guest.demo.ready.pid}/fd/${statsFd}`)
    t.match(
      link,
      new RegExp(`^anon_inode:kvm-vcpu-stats(:${id})?$`),
      'it is found as any VMM that holds these',
    )
  }
  await checkGuest(t, guest)
})

t.test('the simulated demo guest does so too, and says that it is simulated', needs(), async t => {
  const guest = await guestFor(t, { isSimulated: true })
  t.match(guest.demo.ready, { kind: 'simulated', reason: undefined })
  t.match(guest.description, { isReal: false, source: 'stats', tgid: guest.demo.ready.pid })
  await checkGuest(t, guest)
})

/** Gives the lines of a stream one by one. */
function linesOf(stream: Readable): () => Promise<string> {
  const lines = createInterface({ input: stream })[Symbol.asyncIterator]()
  return async () => {
    const { done, value } = await lines.next()
    if (done) throw new Error('the process has closed its output')
    return value
  }
}

t.test('the demo guest dies with its owner, even if that is killed', needs(), async t => {
  const script = `import { startDemo } from '${owner.href}'; console.log((await startDemo()).ready.pid)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => end(child, 'SIGKILL'))
  const pid = Number(await linesOf(child.stdout)())
  t.ok(isAlive(pid))
  await end(child, 'SIGKILL')
  await gone(pid)
})

t.test('startDemo() fails with what the guest said when it cannot start', needs(), async t => {
  await t.rejects(startDemo({ program, vcpus: 99 }), { code: 'ESRCH', message: /"--vcpus" is "99"/ })
})

t.test('where /dev/kvm cannot be opened the guest is simulated and says why', needs('root'), async t => {
  const nobody = 65_534
  const child = spawn(process.execPath, [fileURLToPath(program)], { uid: nobody, gid: nobody })
  t.teardown(() => end(child, 'SIGKILL'))
  const ready = JSON.parse(await linesOf(child.stdout)())
  t.match(ready, { ready: true, kind: 'simulated', reason: /\/dev\/kvm/ })
  child.stdin.end()
  await gone(ready.pid)
})

/** Builds and starts the C VMM, and takes the statistics of its vCPU 0. */
async function startMicroVmm(t: Test): Promise<{ vmm: ProbedGuest; child: ChildProcess }> {
  const child = spawn(builtMicroVmm(t), [], { stdio: ['pipe', 'pipe', 'inherit'] })
  const nextLine = linesOf(child.stdout)
  const [, statsFd] = /^vcpu 0 tid \d+ stats (\d+)$/.exec(await nextLine()) ?? []
  t.equal(await nextLine(), 'ready')
  const stats = takeDescriptor(child.pid ?? -1, Number(statsFd))
  t.teardown(() => {
    close(stats)
    return end(child, 'SIGKILL')
  })
  const vmm: ProbedGuest = {
    request: async ({ kind, vcpu, count }) => {
      child.stdin.write(`${kind} ${vcpu} ${count}\n`)
      t.equal(await nextLine(), 'done')
    },
    read: () => readStatistics(stats),
  }
  return { vmm, child }
}

t.test(
  'a VMM in C, which shares no code with the demo guest, is counted exactly too',
  needs('kvm', 'gcc', 'root'),
  async t => {
    const { vmm, child } = await startMicroVmm(t)
    for (const kind of kinds.filter(name => !sledOf(machine(), name).blocks)) {
      const exact = await exactStatistics(vmm, 0, kind)
      t.not(exact.length, 0, `${kind}: ${exact.join(', ')}`)
    }
    child.stdin?.end()
    await gone(child.pid ?? -1)
  },
)
