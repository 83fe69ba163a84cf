import fc from 'fast-check'
import t from 'tap'
import { ErrnoError } from '../../src/abi/errno.js'
import {
  KVM_STATS_BASE_POW2,
  KVM_STATS_TYPE_INSTANT,
  KVM_STATS_TYPE_LOG_HIST,
  KVM_STATS_TYPE_PEAK,
  KVM_STATS_UNIT_BOOLEAN,
  KVM_STATS_UNIT_BYTES,
  KVM_STATS_UNIT_SECONDS,
  kvm_stats_desc,
  kvm_stats_header,
} from '../../src/abi/kvm-stats.js'
import type { Vcpu } from '../../src/kvm/vm.js'
import { StatsSource } from '../../src/sources/stats/stats-source.js'
import { readStatsTable } from '../../src/sources/stats/stats-table.js'
import { preadOf, statsFile } from './support/kvm-stats-file.js'

const statistics = [
  { name: 'exits', values: [12n] },
  { name: 'halt_wait_ns', flags: KVM_STATS_UNIT_SECONDS, exponent: -9, values: [2n ** 64n - 1n] },
  { name: 'guest_bytes', flags: KVM_STATS_UNIT_BYTES | KVM_STATS_BASE_POW2, exponent: 10, values: [3n] },
  { name: 'halt_wait_hist', flags: KVM_STATS_TYPE_LOG_HIST, values: [1n, 2n, 3n] },
  { name: 'empty_hist', flags: KVM_STATS_TYPE_LOG_HIST, values: [] },
  { name: 'guest_mode', flags: KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_BOOLEAN, values: [1n] },
  { name: 'max_depth', flags: KVM_STATS_TYPE_PEAK, values: [7n] },
  { name: 'blocking', flags: KVM_STATS_UNIT_BOOLEAN, values: [7n] },
]
const file = statsFile('kvm-77/vcpu-3', statistics)
const tableOf = (bytes: Uint8Array) => readStatsTable((into, position) => preadOf(bytes, into, position))
const vcpu = (id: number) => ({ id }) as Vcpu

t.test('readStatsTable() lists cumulative scalars alone, with unit and scale', async t => {
  const table = tableOf(file)
  t.equal(table.id, 'kvm-77/vcpu-3')
  t.strictSame(table.events, [
    { name: 'exits' },
    { name: 'halt_wait_ns', unit: 's', scale: '1e-9' },
    { name: 'guest_bytes', unit: 'Bytes', scale: '1024' },
  ])
})

t.test('readStatsTable() lists histograms apart, each bucket a count', async t => {
  const { histograms, positions } = tableOf(file)
  t.strictSame(histograms, [{ name: 'halt_wait_hist', buckets: 3 }])
  const at = positions.get('halt_wait_hist[2]') ?? 0
  t.equal(new DataView(file.buffer).getBigUint64(at, true), 3n)
  t.equal(positions.has('halt_wait_hist'), false)
  t.equal(positions.has('halt_wait_hist[3]'), false)
})

t.test('readStatsTable() finds data by offset, not by the order of descriptors', async t => {
  const positions = tableOf(file).positions
  const at = positions.get('exits') ?? 0
  t.ok(at > (positions.get('guest_bytes') ?? 0))
  t.equal(new DataView(file.buffer).getBigUint64(at, true), 12n)
})

t.test('readStatsTable() refuses sizes and offsets that cannot be, with EPROTO', async t => {
  const damaged = (values: object) => {
    const bytes = file.slice()
    const header = kvm_stats_header.decode(bytes)
    kvm_stats_header.encode({ ...header, ...values }, bytes)
    return bytes
  }
  const cases = {
    'name_size 0': damaged({ name_size: 0 }),
    'name_size of 4 GiB': damaged({ name_size: 0xffffffff }),
    'num_desc of 4 G': damaged({ num_desc: 0xffffffff }),
    'descriptors behind the end': damaged({ desc_offset: file.length }),
    'id behind the end': damaged({ id_offset: 0xfffffff0 }),
    'data inside the header': damaged({ data_offset: 8 }),
    'an empty file': new Uint8Array(0),
    'a header cut short': file.slice(0, 20),
    'a name without an end': file.slice().fill(0x41, kvm_stats_header.size, kvm_stats_header.size + 48),
  }
  for (const [name, bytes] of Object.entries(cases)) t.throws(() => tableOf(bytes), { code: 'EPROTO' }, name)
})

t.test('readStatsTable() gives a table or EPROTO, whatever the bytes', async () => {
  const header = fc.record({
    name_size: fc.oneof(fc.nat(64), fc.nat(0xffffffff)),
    num_desc: fc.oneof(fc.nat(4), fc.nat(0xffffffff)),
    id_offset: fc.nat(300),
    desc_offset: fc.nat(300),
    data_offset: fc.nat(300),
  })
  const bytes = fc.tuple(header, fc.uint8Array({ maxLength: 400 })).map(([head, tail]) => {
    const all = new Uint8Array(kvm_stats_header.size + tail.length)
    kvm_stats_header.encode(head, all)
    all.set(tail, kvm_stats_header.size)
    return all
  })
  fc.assert(
    fc.property(fc.oneof(bytes, fc.uint8Array({ maxLength: 64 })), input => {
      try {
        const { events, histograms, positions } = tableOf(input)
        return histograms.reduce((sum, { buckets }) => sum + buckets, events.length) === positions.size
      } catch (error) {
        return error instanceof ErrnoError && error.code === 'EPROTO'
      }
    }),
  )
})

t.test('StatsSource reads each count with one pread of eight bytes', async t => {
  const reads: number[] = []
  const files = {
    pread: (_fd: number, into: Uint8Array, position: number) => {
      reads.push(into.length)
      return preadOf(file, into, position)
    },
    close: () => {},
  }
  const source = new StatsSource(files, [{ id: 0, tid: 5, startTime: 1n, statsFd: 9 }])
  reads.length = 0
  t.equal(source.get_event_count(vcpu(0), 'exits'), 12n)
  t.equal(source.get_event_count(vcpu(0), 'halt_wait_ns'), 2n ** 64n - 1n)
  t.strictSame(reads, [8, 8])
  t.equal(source.get_event_count(vcpu(0), 'halt_wait_hist'), undefined, 'a histogram is no count')
  t.strictSame(source.histograms, [{ name: 'halt_wait_hist', buckets: 3 }])
  t.equal(source.get_event_count(vcpu(0), 'halt_wait_hist[1]'), 2n, 'its buckets are')
  t.equal(source.get_event_count(vcpu(1), 'exits'), undefined, 'a vCPU without a descriptor')
})

t.test('StatsSource has no count where the descriptor was cut or fails', async t => {
  let length = file.length
  const files = {
    pread: (_fd: number, into: Uint8Array, position: number) => {
      if (length < 0) throw new ErrnoError('EIO')
      return preadOf(file.subarray(0, length), into, position)
    },
    close: () => {},
  }
  const source = new StatsSource(files, [{ id: 0, tid: 5, startTime: 1n, statsFd: 9 }])
  length = kvm_stats_desc.size
  t.equal(source.get_event_count(vcpu(0), 'exits'), undefined)
  length = -1
  t.equal(source.get_event_count(vcpu(0), 'exits'), undefined)
})

t.test('StatsSource reads the newest descriptor of a vCPU, and closes the one before it', async t => {
  const closed: number[] = []
  const files = {
    pread: (fd: number, into: Uint8Array, position: number) => {
      if (closed.includes(fd)) throw new ErrnoError('EBADF')
      return preadOf(file, into, position)
    },
    close: (fd: number) => {
      closed.push(fd)
    },
  }
  const of = (id: number, statsFd: number) => ({ id, tid: id, startTime: 1n, statsFd })
  const source = new StatsSource(files, [of(0, 10)])
  source.take([of(0, 11)])
  t.strictSame(closed, [10])
  t.equal(source.get_event_count(vcpu(0), 'exits'), 12n, 'KVM has one vCPU of a number')
  source.update([of(0, 11)])
  source.close()
  t.strictSame(closed, [10, 11])
})

t.test('StatsSource closes each descriptor once: of vCPUs that went, and all in the end', async t => {
  const closed: number[] = []
  const files = {
    pread: (fd: number, into: Uint8Array, position: number) =>
      fd === 13 ? 0 : preadOf(file, into, position),
    close: (fd: number) => {
      closed.push(fd)
    },
  }
  const of = (id: number, statsFd: number) => ({ id, tid: id, startTime: 1n, statsFd })
  const source = new StatsSource(files, [of(0, 10), of(1, 11)])
  source.update([of(0, 10), of(2, 12)])
  t.strictSame(closed, [11])
  t.equal(source.get_event_count(vcpu(2), 'exits'), 12n)
  source.update([of(0, 10), of(2, 12), of(3, 13)])
  t.equal(source.get_event_count(vcpu(3), 'exits'), undefined, 'no statistics')
  t.equal(source.events.length, 3, 'one that cannot be read does not take the events of the others away')
  source.close()
  source.close()
  t.strictSame(closed, [11, 10, 12, 13])
  t.equal(source.get_event_count(vcpu(0), 'exits'), undefined, 'the number may be in use again')
})
