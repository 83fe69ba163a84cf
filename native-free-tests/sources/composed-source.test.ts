/** Several sources as one: who counts what, and that nobody takes over in the middle of a count. */
import t from 'tap'
import type { CountSource, Vcpu } from '../../src/kvm/vm.js'
import { ComposedSource } from '../../src/sources/composed-source.js'
import { ComposedWhole } from '../../src/sources/composed-whole.js'
import { FakeRefresher } from '../../src/sources/fake/fake-refresher.js'
import { FakeSource } from '../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { FakeWhole } from '../../src/sources/fake/fake-whole.js'

const vm = new FakeVm()
const [first, second] = [vm.vcpu(0), vm.vcpu(1)]

t.test('each event is counted by the first source that can', async t => {
  const refresher = new FakeRefresher()
  const statistics = new FakeSource({ events: ['exits', { name: 'both', unit: 's' }], refresher })
  const tracepoints = new FakeSource({ events: ['both', 'kvm_pio'] })
  const source = new ComposedSource([statistics, tracepoints])
  t.strictSame(source.events, [{ name: 'exits' }, { name: 'both', unit: 's' }, { name: 'kvm_pio' }])
  statistics.set(first, 'both', 1n)
  tracepoints.set(first, 'both', 2n)
  tracepoints.set(first, 'kvm_pio', 3n)
  t.equal(source.get_event_count(first, 'both'), 1n)
  t.equal(source.get_event_count(first, 'kvm_pio'), 3n)
  t.equal(source.get_event_count(first, 'none'), undefined)
  t.notOk(source.canCount(first, 'none'))
  t.equal(source.partFor(first, 'exits')?.refresher, refresher)
  t.equal(source.partFor(first, 'kvm_pio')?.refresher, undefined, 'what is at hand is not fetched')
  t.equal(source.refresher, refresher)
  source.configure_event(first, 'kvm_pio', true)
  source.configure_event(first, 'kvm_pio', false)
  t.equal(tracepoints.configured.length, 2)
  t.equal(statistics.configured.length, 0)
  source.close()
  t.ok(statistics.isClosed && tracepoints.isClosed)
})

t.test('a source that counts some vCPUs leaves the others to the next', async t => {
  class FirstOnly extends FakeSource {
    canCount(vcpu: Vcpu, event: string): boolean {
      return vcpu === first && event === 'exits'
    }
  }
  const [some, all] = [new FirstOnly(), new FakeSource()]
  const source: CountSource = new ComposedSource([some, all])
  t.equal(source.partFor?.(first, 'exits'), some)
  t.equal(source.partFor?.(second, 'exits'), all)
})

t.test('an event stays with the source that it was armed by', async t => {
  const statistics = new FakeSource({ events: [] })
  const tracepoints = new FakeSource({ events: ['exits'] })
  const source = new ComposedSource([statistics, tracepoints])
  tracepoints.set(first, 'exits', 10n)
  t.equal(source.configure_event(first, 'exits', true), undefined)
  statistics.events = [{ name: 'exits' }]
  statistics.set(first, 'exits', 5_000_000n)
  t.equal(source.get_event_count(first, 'exits'), 10n)
  source.configure_event(first, 'exits', false)
  t.equal(source.get_event_count(first, 'exits'), 10n, 'also for the last look, behind the disarming')
  t.notOk(tracepoints.isArmed(first, 'exits'))
  t.equal(source.partFor(second, 'exits'), statistics, 'another vCPU takes the best that there is now')
})

t.test('an event that could not be armed is bound to nobody', async t => {
  const [statistics, tracepoints] = [new FakeSource({ events: [] }), new FakeSource()]
  const source = new ComposedSource([statistics, tracepoints])
  tracepoints.isFull = true
  t.match(source.configure_event(first, 'exits', true), { code: 'ENOSPC' })
  statistics.events = [{ name: 'exits' }]
  t.equal(source.partFor(first, 'exits'), statistics)
})

t.test(
  'counts of a whole VM that must be fetched first are, also where another source goes before',
  async t => {
    const refresher = new FakeRefresher()
    const whole = new ComposedWhole([new FakeWhole(['exits']), new FakeWhole(['halts'], refresher)])
    t.equal(whole.refresher, refresher)
    t.equal(new ComposedWhole([new FakeWhole(['exits'])]).refresher, undefined)
  },
)

t.test('name lists the sources that count anything', async t => {
  const [none, some] = [new FakeSource({ events: [] }), new FakeSource()]
  t.equal(new ComposedSource([some, some]).name, 'fake,fake')
  t.equal(new ComposedSource([none, some]).name, 'fake')
  t.equal(new ComposedSource([none]).name, 'fake', 'where nobody does, all are named')
})
