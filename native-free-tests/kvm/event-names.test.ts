/** What events are called: no name that takes a word from perf. */
import t from 'tap'
import { isPerfKeyword } from '../../src/abi/perf-keywords.js'
import { resolveTerms } from '../../src/control/terms.js'
import { EventNames } from '../../src/kvm/event-names.js'
import { knownNames } from '../../src/kvm/event-table.js'
import { FakeWhole } from '../../src/sources/fake/fake-whole.js'
import { machine } from './support/machine.js'
import { files, machine as vmMachine } from './support/vm-machine.js'

const names = new EventNames()

t.test('fileOf() gives every event its own name, but those that collide everywhere', async t => {
  for (const name of ['exits', 'halt_wait_ns', 'remote_tlb_flush', 'trace_kvm_exit', 'exit_hlt'])
    t.equal(names.fileOf(name), name)
  t.equal(names.fileOf('tlb_flush'), 'tlb_flush_stat')
})

t.test('fileOf() renames what means something on this machine, in any case of letters', async t => {
  const here = new EventNames(['sched', 'sched_switch', 'exit_mmap', 'msr', 'TSC', 'invlpg'])
  for (const name of ['sched', 'sched_switch', 'exit_mmap', 'MSR', 'tsc', 'invlpg']) {
    t.ok(here.isTaken(name), name)
    t.equal(here.fileOf(name), `${name}_stat`)
  }
  t.equal(here.fileOf('exits'), 'exits')
  t.equal(here.fileOf('tlb_flush'), 'tlb_flush_stat', 'once')
})

t.test('fileOf() renames what perf reads as a word of its own', async t => {
  for (const name of ['cycles', 'faults', 'config', 'period', 'r10', 'rade', 'hup', 'u', 'L1D', 'name'])
    t.equal(names.fileOf(name), `${name}_stat`)
})

t.test('no known name is a word of perf, and no two become one', async t => {
  for (const name of knownNames) t.notOk(isPerfKeyword(name), name)
  const called = knownNames.map(name => names.fileOf(name))
  t.equal(new Set(called).size, called.length)
  for (const name of called)
    t.notOk(name.startsWith('kvm_') && !name.endsWith('_reason'), `${name} is a tracepoint`)
})

t.test('no name that a VMM makes up takes the file of another event', async t => {
  const own = new EventNames(['sched', 'made_stat'])
  t.equal(own.claim('tlb_flush_stat'), 'tlb_flush_stat_stat', 'known names go first')
  t.equal(own.claim('tlb_flush'), 'tlb_flush_stat')
  t.equal(own.claim('sched_stat'), 'sched_stat', 'first come keeps')
  t.equal(own.claim('sched'), 'sched_stat_stat')
  t.equal(own.claim('sched'), 'sched_stat_stat', 'once')
  t.equal(own.claim('EXITS'), 'EXITS_stat', 'perf finds names in any case')
  t.equal(own.claim('kvm_exit'), 'kvm_exit_stat', 'requests have that for trace_kvm_exit')
  t.equal(own.claim('Tlb_Flush'), 'Tlb_Flush_stat_stat_stat')
  t.equal(own.claim('made'), 'made', 'what is free stays')
  t.equal(own.claim('msr'), 'msr')
  t.equal(new EventNames(['msr', 'msr_stat']).claim('msr'), 'msr_stat_stat', 'a new name is looked at too')
})

t.test('the files of events/ are as many as the events, whatever these are called', async t => {
  const { pmu } = machine({ events: ['tlb_flush_stat', 'tlb_flush', 'EXITS', 'exits'] })
  const shown = pmu.attr_groups[0]?.attrs.map(attr => [attr.name, attr.show()])
  t.strictSame(shown, [
    ['exits', 'event=0x00\n'],
    ['tlb_flush_stat', 'event=0x11\n'],
    ['EXITS_stat', 'event=0x54\n'],
    ['tlb_flush_stat_stat', 'event=0x55\n'],
  ])
  t.equal(resolveTerms(pmu, 'tlb_flush', [0n, 0n, 0n, 0n])[0], 0x11n)
  t.equal(resolveTerms(pmu, 'tlb_flush_stat', [0n, 0n, 0n, 0n])[0], 0x11n)
})

t.test('#7: a request may call events as they were called', async t => {
  const { pmu } = machine({
    events: ['exits', 'tlb_flush', 'trace_kvm_exit'],
    names: new EventNames(['exits']),
  })
  const event = (text: string) => resolveTerms(pmu, text, [0n, 0n, 0n, 0n])[0]
  t.equal(event('tlb_flush'), 0x11n)
  t.equal(event('tlb_flush_stat'), 0x11n)
  t.equal(event('kvm_exit'), 0x3an)
  t.equal(event('trace_kvm_exit'), 0x3an)
  t.equal(event('exits'), 0n, 'one that this machine renames')
  t.equal(event('exits_stat'), 0n)
  t.throws(() => event('kvm_entry'), { code: 'EINVAL', message: /Cannot find event or term "kvm_entry"/ })
  const shown = pmu.attr_groups[0]?.attrs.map(({ name }) => name)
  t.strictSame(shown, ['exits_stat', 'tlb_flush_stat', 'trace_kvm_exit'])
})

t.test('#7: so may one of a whole VM', async t => {
  const { pmu } = vmMachine({ events: ['tlb_flush'], whole: new FakeWhole(['remote_tlb_flush']) })
  t.equal(files(pmu)['events/tlb_flush_stat'], 'event=0x11\n')
  t.equal(files(pmu)['events/tlb_flush'], undefined)
  t.equal(resolveTerms(pmu, 'tlb_flush', [0n, 0n, 0n, 0n])[0], 0x11n)
  t.equal(resolveTerms(pmu, 'remote_tlb_flush', [0n, 0n, 0n, 0n])[0], 45n)
})
