/** Events that share an id and are told apart by their reason. */
import t from 'tap'
import { Failure } from '../../src/abi/errno.js'
import { attrOf } from '../../src/abi/perf-event-attr.js'
import { keepsAll, selectEvent } from '../../src/kvm/event-selection.js'
import type { kvm_event_cb } from '../../src/kvm/vcpu-event.js'
import type { CountSource } from '../../src/kvm/vm.js'
import { ComposedSource } from '../../src/sources/composed-source.js'
import { FakeRefresher } from '../../src/sources/fake/fake-refresher.js'
import { FakeSource } from '../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { machine, refusal } from './support/machine.js'

const exitReason = (name: string, value: number) => ({ name, reason: { of: 'kvm_exit_reason', value } })
const events = ['exits', exitReason('exit_hlt', 12), exitReason('exit_invalid', 0xffff_ffff)]
const id = 0x3bn
const reason = (value: number) => ({ config: id, config1: BigInt(value) << 32n })

const texts = (pmu: ReturnType<typeof machine>['pmu']) =>
  Object.fromEntries((pmu.attr_groups[0]?.attrs ?? []).map(attr => [attr.name, attr.show()]))

t.test('each reason is a file of events/ with the terms "event" and "reason"', async t => {
  const { pmu } = machine({ events })
  t.strictSame(texts(pmu), {
    exits: 'event=0x00\n',
    exit_hlt: 'event=0x3b,reason=0xc\n',
    exit_invalid: 'event=0x3b,reason=0xffffffff\n',
  })
})

t.test('each reason is counted by itself', async t => {
  const { count, read, source, first } = machine({ events, armedOnly: true })
  const [halts, invalid, exits] = [count(reason(12)), count(reason(0xffff_ffff)), count({ config: 0n })]
  source.happen(first, 'exit_hlt', 3n)
  source.happen(first, 'exit_invalid', 5n)
  source.happen(first, 'exits', 8n)
  t.strictSame([halts, invalid, exits].map(read), [3n, 5n, 8n])
})

t.test('event_init() fails with EINVAL on a reason that is not there', async t => {
  const { tryOpen } = machine({ events })
  t.equal(refusal(tryOpen(reason(13))), "EINVAL: event 0x3b has no reason 0xd; see the PMU's events/")
  t.equal(refusal(tryOpen({ config: id })), "EINVAL: event 0x3b has no reason 0x0; see the PMU's events/")
})

t.test(
  'event_init() fails with EINVAL on a reason of an event that has none; the other bits of config1 are ignored',
  async t => {
    const { tryOpen } = machine({ events })
    const refused = 'EINVAL: reason is 12, but event 0x00 has none: leave the term "reason" out'
    t.equal(refusal(tryOpen({ config: 0n, config1: 12n << 32n })), refused)
    t.equal(refusal(tryOpen({ config: 0n, config1: 77n })), 'not refused')
    t.equal(refusal(tryOpen({ config: id, config1: (12n << 32n) | 77n })), 'not refused')
  },
)

t.test('two who count one reason share its arming, with two reasons each has its own', async t => {
  const { count, close, source, first } = machine({ events, sharing: true })
  const [one, two, other] = [count(reason(12)), count(reason(12)), count(reason(0xffff_ffff))]
  t.equal(source.configured.length, 2)
  close(one)
  t.ok(source.isArmed(first, 'exit_hlt'))
  close(two)
  t.notOk(source.isArmed(first, 'exit_hlt'))
  t.ok(source.isArmed(first, 'exit_invalid'))
  close(other)
  t.equal(source.repeated, 0)
})

t.test('without sharing a reason is refused a second time, another reason is not', async t => {
  const { count, tryOpen } = machine({ events })
  count(reason(12))
  t.match(refusal(tryOpen(reason(12))), /^EOPNOTSUPP: event 0x3b, reason 0xc of vCPU thread 1001 is counted/)
  t.equal(refusal(tryOpen(reason(0xffff_ffff))), 'not refused')
})

t.test('a VM that comes later brings more reasons, and takes none away', async t => {
  const { pmu, vms, tryOpen } = machine({ events })
  const before = texts(pmu)
  const source = new FakeSource({ events: [exitReason('exit_io', 30), exitReason('exit_hlt', 12)] })
  vms.add(new FakeVm({ tgid: 2000, tids: [2001], source }))
  t.strictSame(texts(pmu), { ...before, exit_io: 'event=0x3b,reason=0x1e\n' })
  t.match(
    refusal(tryOpen(reason(30))),
    /^EOPNOTSUPP: the VM of vCPU thread 1001 does not count event 0x3b, reason/,
  )
})

t.test('keepsAll() tells growth from loss', async t => {
  const [a, b]: kvm_event_cb[] = [0, 1].map(() => ({
    get_event_count: () => 0n,
    configure_event: () => undefined,
  }))
  if (!a || !b) throw new Error('two are needed')
  t.ok(keepsAll([a, undefined], [a, b]))
  t.ok(
    keepsAll(
      [new Map([[1, a]])],
      [
        new Map([
          [1, a],
          [2, b],
        ]),
      ],
    ),
  )
  t.notOk(keepsAll([new Map([[1, a]])], [new Map([[1, b]])]))
  t.notOk(keepsAll([new Map([[1, a]])], [a]))
  t.notOk(keepsAll([a], [new Map([[1, a]])]))
  t.notOk(keepsAll([a], []))
  t.ok(selectEvent([a], attrOf({ config: 1n })) instanceof Failure)
})

t.test('refresher() is that of the source that counts the very event', async t => {
  const refresher = new FakeRefresher()
  const statistics = new FakeSource({ events: ['exits'], refresher })
  const tracepoints = new FakeSource({ events: [exitReason('exit_hlt', 12)] })
  const composed: CountSource = new ComposedSource([statistics, tracepoints])
  const { pmu, vms } = machine({ events })
  const vm = Object.assign(new FakeVm({ tgid: 2000, tids: [2001] }), { source: composed })
  vms.add(vm)
  const caller = { uid: 0, gid: 0, tid: 1 }
  t.equal(pmu.refresher({ attr: attrOf({ config: 0n }), tid: 2001, caller }), refresher)
  t.equal(pmu.refresher({ attr: attrOf(reason(12)), tid: 2001, caller }), undefined)
})
