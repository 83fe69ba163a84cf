/** What is said of a program's event names that take a word from perf. */
import t from 'tap'
import { reportTaken } from '../../src/serve/own-names.js'
import { samplePmu, texts } from '../sysfs/support/sample-pmu.js'

const pmu = samplePmu('own', [
  { name: 'events', attrs: texts({ reads: 'event=0\n', sched_switch: 'event=1\n', tsc: 'event=2\n' }) },
  { name: 'format', attrs: texts({ msr: 'config:0-7\n' }) },
])

const reports = (...taken: string[]): string[] => {
  const told: string[] = []
  reportTaken(
    pmu,
    word => taken.includes(word),
    message => told.push(message),
  )
  return told
}

t.test('reportTaken() names the events that collide, and what to do', async t => {
  t.match(reports('sched_switch', 'tsc'), [/^PMU "own" .*: "sched_switch", "tsc"\. .*choose other names$/])
})

t.test('reportTaken() says nothing where none does: terms are no events', async t => {
  t.strictSame(reports('msr', 'sched'), [])
})
