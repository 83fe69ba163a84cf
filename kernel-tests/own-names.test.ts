/**
 * The rule of names against perf itself: what the rule takes perf opens as that event, and what it refuses the perf that
 * is installed reads otherwise or not at all, save for what only later ones do.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import { eventNameRefusal, pmuNameRefusal } from '../src/perf/names.js'
import { needs } from './support/needs.js'

const TYPE = 4242
const CONFIG = 42

/** Asks perf for an event of a PMU that stands in a sysfs of its own: whether it opens just that event. */
async function opens(test: Test, pmu: string, event: string): Promise<boolean> {
  const sysfs = mkdtempSync(join(tmpdir(), 'pmufs-names-'))
  test.teardown(() => rmSync(sysfs, { recursive: true }))
  const folder = join(sysfs, 'bus/event_source/devices', pmu)
  for (const name of ['events', 'format']) mkdirSync(join(folder, name), { recursive: true })
  writeFileSync(join(folder, 'type'), `${TYPE}\n`)
  writeFileSync(join(folder, 'format/event'), 'config:0-63\n')
  writeFileSync(join(folder, 'events', event), `event=0x${CONFIG.toString(16)}\n`)
  const { stderr } = await execa('perf', ['stat', '-vv', '-e', `${pmu}/${event}/`, 'true'], {
    reject: false,
    env: { SYSFS_PATH: sysfs, LC_ALL: 'C' },
  })
  const attr = (field: string): number => Number(new RegExp(`^ +${field} +(\\S+)$`, 'm').exec(stderr)?.[1])
  return attr('type') === TYPE && attr('config') === CONFIG
}

/** Refused for the sake of other versions of perf than some of those that are tested with. */
const others = new Set(
  [
    'Mixed config3 config4 raw cpu hardware aux-action driver-config ratio-to-prev',
    'l2 btb bpu store has_pmem slots W num_cpus core_wide llc R',
  ]
    .join(' ')
    .split(' '),
)

const events = [
  'exits energy-pkg cache.hit a.b-c CYCLES _x x9 read write load cycles instructions faults cs dummy l1d u k',
  'branch-misses mem-loads el-capacity tx-start r1a disk',
  'Mixed 9lives name freq period config config1 config2 config3 config4 time nr inherit no-inherit overwrite',
  'no-overwrite percore raw cpu hardware call-graph stack-size max-stack branch_type metric-id aux-output',
  'aux-sample-size aux-action driver-config ratio-to-prev x.unit x.scale x.snapshot x.per-pkg',
]
const pmus = [
  'io uncore_x a.b UPPER disk kvm_vm _x x86 name config software event',
  'drop-tower uncore-x 9x cycles instructions faults cs dummy duration_time load read l1d branch r1a u k G',
  'l2 btb bpu store has_pmem slots W num_cpus core_wide llc R',
]
const words = (lines: readonly string[]): string[] => lines.join(' ').split(' ')

t.test('names of events', needs('perf'), async t => {
  for (const name of words(events)) {
    const isTaken = eventNameRefusal(name) === undefined
    if (isTaken || !others.has(name)) t.equal(await opens(t, 'tower', name), isTaken, `tower/${name}/`)
  }
})

t.test('names of PMUs', needs('perf'), async t => {
  for (const name of words(pmus)) {
    const isTaken = pmuNameRefusal(name) === undefined
    if (isTaken || !others.has(name)) t.equal(await opens(t, name, 'exits'), isTaken, `${name}/exits/`)
  }
})
