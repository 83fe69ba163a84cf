/** What is fetched before an event is opened or read, and that the asking ends. */
import t from 'tap'
import { attrOf, type perf_event_attr } from '../../src/abi/perf-event-attr.js'
import type { RefreshTarget } from '../../src/perf/pmu.js'
import { FakeRefresher } from '../../src/sources/fake/fake-refresher.js'
import { FakeSource } from '../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { fakeTask, machine } from './support/machine.js'

const caller = { uid: 0, gid: 0, tid: 1002 }
const opening = (tid: number, attr: Partial<perf_event_attr> = {}): RefreshTarget => ({
  attr: attrOf(attr),
  tid,
  caller,
})

t.test('refresher() of a known vCPU is that of its VM, once for each open', async t => {
  const [counts, scan] = [new FakeRefresher(), new FakeRefresher()]
  const { pmu } = machine({ refresher: counts, scanRefresher: scan })
  for (const open of [opening(1001), opening(1001)]) {
    t.equal(pmu.refresher(open), counts)
    t.equal(pmu.refresher(open), undefined)
    t.equal(pmu.refresher(open), undefined)
  }
})

t.test('refresher() looks for an unknown thread once for each open', async t => {
  const scan = new FakeRefresher()
  const { pmu } = machine({ scanRefresher: scan })
  const open = opening(4711)
  t.equal(pmu.refresher(open), scan)
  t.equal(pmu.refresher(open), undefined, 'the scan has not found it: event_init() says so')
  t.equal(pmu.refresher(opening(4711)), scan)
})

t.test('refresher() fetches the counts of a VM that the scan has found', async t => {
  const [counts, scan] = [new FakeRefresher(), new FakeRefresher()]
  const { pmu, vms, open, read } = machine({ scanRefresher: scan })
  const source = new FakeSource({ refresher: counts })
  const vm = new FakeVm({ tgid: 2000, tids: [2001], source })
  scan.onComplete = () => vms.add(vm)
  counts.onComplete = () => source.set(vm.vcpu(0), 'exits', 500n)
  const asked: unknown[] = []
  const target = opening(2001)
  const refresh = () => {
    const refresher = pmu.refresher(target)
    asked.push(refresher)
    refresher?.refresh(refresh)
  }
  refresh()
  scan.complete()
  t.equal(counts.waiting, 1)
  counts.complete()
  t.equal(asked[0], scan)
  t.equal(asked[1], counts)
  t.same(asked.slice(2), [undefined])
  const event = open({ target: fakeTask(2001, 2000) })
  pmu.start(event, 0)
  source.happen(vm.vcpu(0), 'exits', 2n)
  t.equal(read(event), 2n)
})

t.test('refresher() fetches nothing where no count is read', async t => {
  const counts = new FakeRefresher()
  const { pmu } = machine({ refresher: counts })
  t.equal(pmu.refresher(opening(1001, { disabled: true })), undefined)
  t.equal(pmu.refresher(opening(-1)), undefined, 'no thread is named')
  t.equal(pmu.refresher(opening(4711)), undefined, 'nobody looks for VMs')
  t.equal(machine().pmu.refresher(opening(1001)), undefined, 'the source is always current')
})

t.test('refresher() takes pid 0 for the calling thread', async t => {
  const counts = new FakeRefresher()
  const { pmu } = machine({ refresher: counts })
  t.equal(pmu.refresher(opening(0)), counts)
})

t.test("eventRefresher() is that of the event's VM, while there is one", async t => {
  const counts = new FakeRefresher()
  const { pmu, open, vms, vm } = machine({ refresher: counts })
  const [event, helper] = [open(), open({ target: fakeTask(1003) })]
  t.equal(pmu.eventRefresher(event), counts)
  t.equal(pmu.eventRefresher(helper), undefined)
  vms.remove(vm)
  t.equal(pmu.eventRefresher(event), undefined)
})
