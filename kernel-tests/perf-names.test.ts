/**
 * Names that perf understands without us it understands under `pmufs exec` too: every tracepoint of this kernel, every
 * event of every PMU, and perf's own words. perf 6.1 takes an event's name for that event wherever it stands.
 */
import { readdirSync } from 'node:fs'
import { execa } from 'execa'
import t from 'tap'
import { perfWords } from '../src/os/perf-words.js'
import { withTracefs } from '../src/os/tracefs.js'
import { execOn, plainNode } from './support/exec.js'
import { type Mounted, mounted } from './support/mounted.js'
import { needs } from './support/needs.js'

const DEVICES = '/sys/bus/event_source/devices'

const tracepoints = (): string[] =>
  withTracefs((_, list) =>
    list('events').flatMap(system => list(`events/${system}`).map(name => `${system}:${name}`)),
  ).filter(name => !/:(enable|filter)$/.test(name))

function eventsOf(devices: string, pmu: string): string[] {
  try {
    return readdirSync(`${devices}/${pmu}/events`).filter(name => !name.includes('.'))
  } catch {
    return []
  }
}

const pmuEvents = (): string[] =>
  readdirSync(DEVICES).flatMap(pmu => [
    `${pmu}/config=0/`,
    ...eventsOf(DEVICES, pmu).flatMap(event => [event, `${pmu}/${event}/`]),
  ])

/** The words of perf's own. */
const keywords = [
  'cycles cpu-cycles cycles:u cpu-cycles:k instructions cache-references cache-misses branch-instructions branches',
  'branch-misses bus-cycles ref-cycles stalled-cycles-frontend idle-cycles-backend cpu-clock task-clock page-faults',
  'faults minor-faults major-faults context-switches cs cpu-migrations migrations alignment-faults emulation-faults',
  'dummy bpf-output cgroup-switches duration_time user_time system_time r10 r1a8:u 0:1 cycles/period=1000/',
  'L1-dcache-loads L1-dcache-load-misses L1-icache-load-misses LLC-loads LLC-stores LLC-prefetch-misses dTLB-loads',
  'dTLB-load-misses iTLB-loads branch-loads branch-load-misses node-loads node-store-misses l1d L1-dcache LLC',
  'mem:0x1000 mem:0x1000:rw mem:0x1000/4:w {cycles,instructions}:u {faults,sched:sched_switch} sched:sched_*',
  'task-clock/name=exits/ software/config=1,name=tlb_flush/',
]
  .join(' ')
  .split(' ')

/** Has perf parse events and nothing more; what it says when it cannot. */
async function parse(prefix: readonly string[], events: readonly string[]): Promise<string | undefined> {
  const args = ['record', '--dry-run', '-o', '/dev/null', ...events.flatMap(event => ['-e', event])]
  const [command = '', ...rest] = [...prefix, 'perf', ...args]
  const { exitCode, stderr } = await execa(command, rest, { reject: false, stdin: 'ignore', env: plainNode })
  return exitCode === 0 ? undefined : stderr
}

/** Which of these perf cannot parse: it takes one after the other and stops at the first that it cannot. */
async function refused(prefix: readonly string[], events: readonly string[]): Promise<string[]> {
  const bad: string[] = []
  for (let left = events; left.length > 0; ) {
    const said = await parse(prefix, left)
    if (said === undefined) return bad
    const culprit = /event syntax error: '([^'\n]*)'/.exec(said)?.[1] ?? ''
    const index = left.indexOf(culprit)
    if (index < 0 || bad.length > 100)
      throw new Error(`perf cannot parse "${culprit}": ${said.slice(0, 2000)}`)
    bad.push(culprit)
    left = left.slice(index + 1)
  }
  return bad
}

const ours = ({ dir }: Mounted): [string, string][] =>
  ['kvm', 'kvm_vm'].flatMap(pmu =>
    eventsOf(`${dir}/sys/bus/event_source/devices`, pmu).map((event): [string, string] => [pmu, event]),
  )

t.test('names beside ours', needs('root', 'fuse', 'kvm', 'perf'), async t => {
  const mount = await mounted(t)
  const exec = execOn(mount).split(' ')
  const events = ours(mount)
  t.comment(`${(await execa('perf', ['--version'])).stdout}, ${events.length} events of ours`)

  t.test('#7: all that perf parses without exec it parses under it', async t => {
    const all = [...new Set([...tracepoints(), ...pmuEvents(), ...keywords])]
    const withoutUs = new Set(await refused([], all))
    const known = all.filter(event => !withoutUs.has(event))
    t.comment(`${known.length} names; not parsed by itself: ${[...withoutUs].join(' ')}`)
    t.ok(known.length > 1000, 'nearly all are parsed without exec')
    t.ok(known.includes('tlb:tlb_flush') || process.arch !== 'x64')
    t.ok(known.includes('kvm:kvm_userspace_exit'))
    t.strictSame(await refused(exec, known), [])
  })

  t.test('every event of ours is parsed too', async t => {
    // A histogram's event needs its bucket, which an event by its name alone cannot have.
    const isHistogram = (event: string) => event.endsWith('_hist')
    const terms = events.map(([pmu, event]) => `${pmu}/${event}${isHistogram(event) ? ',bucket=1' : ''}/`)
    const alone = new Set(events.map(([, event]) => event).filter(event => !isHistogram(event)))
    t.ok(alone.size > 20)
    t.strictSame(await refused(exec, [...terms, ...alone]), [])
  })

  t.test('no name of ours means anything else on this machine', async t => {
    const words = new Set([...perfWords()].map(word => word.toLowerCase()))
    t.ok(words.has('kvm_userspace_exit') && words.has('sched') && words.has('software'))
    const taken = events.filter(([, event]) => words.has(event.toLowerCase()))
    t.strictSame(taken, [])
  })
})
