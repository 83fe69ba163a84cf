/** What queries add to the counts of a guest, as the queries themselves show it. */
import t from 'tap'
import { vmsDirectory } from '../../src/control/vms-directory.js'
import { memoryClient } from '../../src/fuse/memory.js'
import { VmList } from '../../src/kvm/vm-list.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { DisturbanceMeter } from '../../src/sources/qmp/disturbance.js'
import { QmpSource } from '../../src/sources/qmp/qmp-source.js'
import { Tickets } from '../../src/sources/tickets.js'

const events = [
  { name: 'exits' },
  { name: 'halt_wait_ns', unit: 'ns' },
  { name: 'signal_exits' },
  { name: 'io_exits' },
]

/** Counts of vCPUs 0, 1 ... in the order of `events`. */
const counts = (...vcpus: readonly (readonly bigint[])[]) =>
  new Map(vcpus.map((row, id) => [id, BigUint64Array.from(row)]))

function measured(...snapshots: readonly ReturnType<typeof counts>[]) {
  const meter = new DisturbanceMeter(events)
  for (const snapshot of snapshots) meter.take(snapshot)
  const { disturbance } = meter
  return disturbance && [disturbance.reads, Object.fromEntries(disturbance.adds)]
}

t.test('one query tells nothing, and neither do those of a guest that is paused', async t => {
  t.equal(measured(), undefined)
  t.equal(measured(counts([5n, 6n, 7n, 8n])), undefined)
  t.equal(measured(counts([5n, 6n, 7n, 8n]), counts([5n, 6n, 7n, 8n])), undefined)
})

t.test('the median counts, on the vCPU where a count grew most, and times do not', async t => {
  const at = (query: bigint, own = 0n) =>
    counts([10n + query + own, 1000n * query, query, 0n], [20n + 2n * query, 5n, query, 0n])
  t.strictSame(measured(at(0n), at(1n)), [1, { exits: 2, signal_exits: 1 }].map(big))
  const busyOnce = [at(0n), at(1n), at(2n, 5000n), at(3n, 5000n), at(4n, 5000n)]
  t.strictSame(measured(...busyOnce), [4, { exits: 2, signal_exits: 1 }].map(big))
})

t.test('a statistic that is reset, and vCPUs that come and go, spoil nothing', async t => {
  t.equal(measured(counts([9n, 0n, 9n, 0n]), counts([1n, 0n, 1n, 0n])), undefined)
  t.equal(measured(counts([1n, 0n, 1n, 0n]), new Map([[3, BigUint64Array.of(7n, 7n, 7n, 7n)]])), undefined)
})

t.test('the last 32 queries are looked back on', async t => {
  const slow = Array.from({ length: 50 }, (_, i) => counts([1000n * BigInt(i), 0n, 3n * BigInt(i), 0n]))
  const close = Array.from({ length: 32 }, (_, i) => counts([50_000n + BigInt(i), 0n, 150n + BigInt(i), 0n]))
  t.strictSame(measured(...slow), [32, { exits: 1000, signal_exits: 3 }].map(big))
  t.strictSame(measured(...slow, ...close), [32, { exits: 1, signal_exits: 1 }].map(big))
})

t.test('vms/<vm>/cost shows it once there is something to show', async t => {
  const source = new QmpSource({
    key: 'a',
    events,
    tickets: new Tickets(() => t.fail('nothing is asked for')),
  })
  const vms = new VmList()
  vms.add(Object.assign(new FakeVm({ name: 'web' }), { source }))
  const fs = memoryClient(vmsDirectory(vms, { uid: 0, gid: 0 }))
  t.equal(fs.read('web/cost'), '')
  source.update(counts([5n, 0n, 7n, 0n]))
  source.update(counts([6n, 0n, 8n, 0n]))
  t.equal(fs.read('web/cost'), 'qmp 1 exits=1 signal_exits=1\n')
})

/** Counts are bigints. */
const big = (value: number | Record<string, number>): unknown =>
  typeof value === 'number'
    ? value
    : Object.fromEntries(Object.entries(value).map(([name, count]) => [name, BigInt(count)]))
