/**
 * What it costs a guest to be counted: how often it is interrupted each second, with nobody reading, and with each source
 * read ten times a second. A table for Markdown.
 *
 * The figures are KVM's own statistics, taken beside the sources that are judged and only before and after each window:
 * from statistics descriptors of the demo guest, and over a QMP socket of its own of QEMU. All mounts are there all the
 * while, and the windows of all rows take turns, so that what else the machine does falls on all alike. Build first.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { closeHandles, openHandle, vmOf } from '../kernel-tests/support/handles.js'
import { type Mounted, mounted, until } from '../kernel-tests/support/mounted.js'
import { qemu } from '../kernel-tests/support/qemu.js'
import { sumOfStatistics } from '../kernel-tests/support/statistics.js'
import { startDemo } from '../src/os/demo-process.js'

const ROUNDS = 7
const WINDOW_MS = 2000
const READS = 20

/** What is shown of a guest. */
const statistics = ['exits', 'signal_exits', 'fpu_reload'] as const
type Figures = readonly number[]

interface Guest {
  readonly name: string
  readonly pid: number
  /** The thread of its first vCPU. */
  readonly tid: number
  /** Its statistics now, summed over its vCPUs. */
  figures(): Promise<Figures>
}

/** One line of the table. */
interface Row {
  readonly guest: Guest
  readonly source: string
  /** Begins to count: the mount and the handle in it that is read ten times a second; absent: nobody reads. */
  readonly open?: () => Promise<Reader>
  readonly windows: Figures[]
}

/** The part of query-stats that is used. */
interface StatsResult {
  readonly stats: readonly { readonly name: string; readonly value: unknown }[]
}

interface Reader {
  readonly mount: Mounted
  readonly handle: string
}

const ends: (() => unknown)[] = []
const test = { teardown: (end: () => unknown) => void ends.push(end) }

async function idleQemu(): Promise<Guest & { readonly socket: string }> {
  const guest = await qemu(test, { name: 'idle' })
  const [tid = 0] = await guest.tids()
  await until('it waits in its boot menu', async () => {
    const [before = 0] = await guest.counts('exits')
    await sleep(500)
    return ((await guest.counts('exits'))[0] ?? 0) - before < 1000
  })
  return {
    name: 'QEMU, idle in its boot menu',
    pid: guest.process.pid ?? 0,
    tid,
    socket: guest.socket,
    figures: async () => {
      // One query for all, since each interrupts the guest itself.
      const [vcpu] = await guest.qmp.run<StatsResult[]>('query-stats', { target: 'vcpu' })
      return statistics.map(wanted => Number(vcpu?.stats.find(({ name }) => name === wanted)?.value))
    },
  }
}

async function demoGuest(): Promise<Guest> {
  const demo = await startDemo({ program: new URL('../dist/os/demo-guest/main.js', import.meta.url) })
  test.teardown(() => demo.stop())
  const { pid, vcpus } = demo.ready
  return {
    name: 'the demo guest, at its own pace',
    pid,
    tid: vcpus[0]?.tid ?? 0,
    figures: async () => statistics.map(statistic => sumOfStatistics(pid, statistic)),
  }
}

/** Nanoseconds that the threads of a process have run. */
const cpuTime = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`)
    .map(tid => Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'latin1').split(' ')[0]))
    .reduce((all, one) => all + one, 0)

/** A count that debugfs gives of the whole VM; none where the kernel is locked down. */
async function debugfsCount(mount: Mounted, guest: Guest): Promise<string | undefined> {
  const vm = await vmOf(mount, guest.pid)
  const { stdout } = await mount.sh(`awk '$2 == "debugfs" { print $1; exit }' vms/${vm}/events`)
  return stdout === '' ? undefined : stdout
}

/** By how much the figures of a guest grow in a second, and the milliseconds that its VMM runs. */
async function window({ guest, open }: Row): Promise<Figures> {
  const reader = await open?.()
  const [before, cpuBefore, start] = [await guest.figures(), cpuTime(guest.pid), performance.now()]
  for (let read = 1; read <= READS; read++) {
    await sleep(Math.max(0, start + (read * WINDOW_MS) / READS - performance.now()))
    if (reader) readFileSync(join(reader.mount.dir, reader.handle, 'count'))
  }
  const seconds = (performance.now() - start) / 1000
  const ran = (cpuTime(guest.pid) - cpuBefore) / 1e6
  const after = await guest.figures()
  if (reader) await closeHandles(reader.mount, [reader.handle])
  return [...after.map((count, i) => count - (before[i] ?? Number.NaN)), ran].map(grown => grown / seconds)
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

function print(rows: readonly Row[]): void {
  const [cpu] = cpus()
  console.log(
    `Linux ${release()}, ${cpus().length} x ${cpu?.model}; medians of ${ROUNDS} windows of ${WINDOW_MS} ms\n`,
  )
  console.log(
    `| guest | read at 10/s | ${statistics.map(name => `\`${name}\`/s`).join(' | ')} | VMM's CPU time, ms/s |`,
  )
  console.log(`| --- | --- |${' --: |'.repeat(statistics.length + 1)}`)
  for (const { guest, source, windows } of rows) {
    const columns = (windows[0] ?? []).map((_, i) =>
      median(windows.map(each => each[i] ?? Number.NaN)).toFixed(1),
    )
    console.log(`| ${[guest.name, source, ...columns].join(' | ')} |`)
  }
}

async function run(): Promise<void> {
  const [machine, demo] = [await idleQemu(), await demoGuest()]
  const traced = await mounted(test, '--source', 'tracepoint')
  const queried = await mounted(test, '--source', 'qmp', '--qmp', machine.socket)
  const kept = await mounted(test, '--source', 'stats')
  const reader = (mount: Mounted, event: string, tid: number, type?: string) => async () => ({
    mount,
    handle: await openHandle(mount, event, tid, type),
  })
  const rows: Row[] = []
  const add = (guest: Guest, source: string, open?: Row['open']) =>
    rows.push({ guest, source, windows: [], ...(open && { open }) })
  for (const guest of [machine, demo]) {
    add(guest, 'nothing')
    if (guest === machine) add(guest, '`qmp`', reader(queried, 'exits', guest.tid))
    else add(guest, '`stats`', reader(kept, 'exits', guest.tid))
    add(guest, '`tracepoint`', reader(traced, 'trace_kvm_userspace_exit', guest.tid))
    const event = await debugfsCount(traced, guest)
    if (event !== undefined) add(guest, '`debugfs`', reader(traced, event, guest.pid, 'kvm_vm'))
  }
  for (let round = 0; round < ROUNDS; round++) for (const row of rows) row.windows.push(await window(row))
  print(rows)
}

try {
  await run()
} finally {
  for (const end of ends.toReversed()) await end()
}
