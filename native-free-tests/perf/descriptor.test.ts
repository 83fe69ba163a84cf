import t from 'tap'
import { Failure } from '../../src/abi/errno.js'
import { POLLHUP } from '../../src/abi/fs.js'
import { _IO } from '../../src/abi/ioctl.js'
import * as abi from '../../src/abi/perf-event.js'
import { attrOf } from '../../src/abi/perf-event-attr.js'
import { encodeAttr } from '../../src/abi/perf-event-attr-bytes.js'
import type { PerfEvent } from '../../src/perf/event.js'
import { perf_ioctl, perf_poll, perf_read, perf_release } from '../../src/perf/event-file.js'
import type { IoctlContext } from '../../src/perf/ioctl.js'
import { readSize } from '../../src/perf/read.js'
import { NOBODY, ROOT } from './support/fake-host.js'
import { Setup, values } from './support/setup.js'

const { TOTAL_TIME_ENABLED, TOTAL_TIME_RUNNING, ID, GROUP, LOST } = abi.PERF_FORMAT
const ioctl = (event: PerfEvent, cmd: number, arg = 0n, context?: IoctlContext) =>
  perf_ioctl(event, { cmd, arg, input: new Uint8Array(0) }, context)
const ioctlWith = (event: PerfEvent, cmd: number, input: Uint8Array) =>
  perf_ioctl(event, { cmd, arg: 0n, input })
const u64 = (value: bigint) => new Uint8Array(BigUint64Array.of(value).buffer)

t.test('perf_read() lays out every read_format, alone and in a group, as struct read_format', async t => {
  const setup = new Setup()
  for (let format = 0n; format < 32n; format++) {
    const has = (bit: bigint, value: bigint) => ((format & bit) === 0n ? [] : [value])
    const attr = { read_format: format }
    const leader = setup.open({ attr })
    const sibling = setup.open({ group_fd: leader, attr: { ...attr, config: 1n } })
    setup.pmu.tick(0n, 3n)
    setup.pmu.tick(1n, 5n)
    setup.run(7n)
    const one = (event: PerfEvent, count: bigint) => [count, ...has(ID, event.id), ...has(LOST, 0n)]
    const times = [...has(TOTAL_TIME_ENABLED, 7n), ...has(TOTAL_TIME_RUNNING, 7n)]
    const whole = [2n, ...times, ...one(leader, 3n), ...one(sibling, 5n)]
    const alone = [5n, ...times, ...has(ID, sibling.id), ...has(LOST, 0n)]
    t.same(values(sibling), (format & GROUP) === 0n ? alone : whole, `format ${format}`)
    t.equal(readSize(format, 1), values(leader).length * 8)
    t.throws(() => perf_read(leader, readSize(format, 1) - 1), { code: 'ENOSPC' })
    t.equal(perf_read(leader, readSize(format, 1)).length, readSize(format, 1))
    perf_release(sibling)
    perf_release(leader)
  }
})

t.test('perf_read() fails with ENOSPC when a group has grown beyond the buffer', async t => {
  const setup = new Setup()
  const leader = setup.open({ attr: { read_format: GROUP } })
  t.equal(perf_read(leader, 16).length, 16)
  const sibling = setup.open({ group_fd: leader })
  t.throws(() => perf_read(leader, 16), { code: 'ENOSPC', message: /24/ })
  t.throws(() => perf_read(leader, 0), { code: 'ENOSPC' })
  t.equal(perf_read(sibling, 8).length, 8, "each member's own read_format decides")
  perf_release(sibling)
  t.equal(perf_read(leader, 16).length, 16)
})

t.test('perf_poll() gives POLLHUP for an event without buffer, from the start', async t => {
  t.equal(perf_poll(new Setup().open()), POLLHUP)
})

t.test('PERF_EVENT_IOC_ID gives what PERF_FORMAT_ID gives, and no two events share it', async t => {
  const setup = new Setup()
  const events = [setup.open({ attr: { read_format: ID } }), setup.open({ attr: { read_format: ID } })]
  const ids = events.map(event => ioctl(event, abi.PERF_EVENT_IOC_ID).output)
  t.same(
    ids,
    events.map(event => u64(values(event)[1] ?? 0n)),
  )
  t.notSame(ids[0], ids[1])
})

t.test('ids begin above what the core is given, so that those of several cores never meet', async t => {
  const setup = new Setup({ core: { idsAbove: 7n << 32n } })
  t.strictSame([setup.open().id, setup.open().id], [(7n << 32n) + 1n, (7n << 32n) + 2n])
})

t.test('PERF_EVENT_IOC_RESET zeroes the count and keeps the times', async t => {
  const setup = new Setup()
  const event = setup.open({ attr: { read_format: TOTAL_TIME_ENABLED } })
  const sibling = setup.open({ group_fd: event, attr: { config: 1n } })
  setup.pmu.tick(0n, 3n)
  setup.pmu.tick(1n, 4n)
  setup.run(9n)
  ioctl(event, abi.PERF_EVENT_IOC_RESET)
  setup.pmu.tick(0n, 2n)
  t.same(values(event), [2n, 9n], 'what came before is not counted again')
  t.same(values(sibling), [4n])
  ioctl(sibling, abi.PERF_EVENT_IOC_RESET, 1n)
  t.same([values(event), values(sibling)], [[0n, 9n], [0n]])
  setup.task.isExited = true
  setup.pmu.tick(0n)
  t.equal(ioctl(event, abi.PERF_EVENT_IOC_RESET).result, 0, 'of an exited thread too')
  t.same(values(event), [0n, 9n])
})

t.test('PERF_EVENT_IOC_REFRESH needs a sampling event without inherit', async t => {
  const setup = new Setup()
  const refresh = (event: PerfEvent) => ioctl(event, abi.PERF_EVENT_IOC_REFRESH, 3n)
  t.throws(() => refresh(setup.open()), { code: 'EINVAL' })
  t.throws(() => refresh(setup.open({ attr: { sample_period: 5n, inherit: true } })), { code: 'EINVAL' })
  const event = setup.open({ attr: { sample_period: 5n, disabled: true } })
  t.equal(refresh(event).result, 0)
  t.equal(refresh(event).result, 0)
  t.equal(event.event_limit, 6)
  t.equal(event.stateName, 'active')
})

t.test('PERF_EVENT_IOC_PERIOD takes a period that could have been opened with', async t => {
  const setup = new Setup()
  const set = (event: PerfEvent, value: bigint) => ioctlWith(event, abi.PERF_EVENT_IOC_PERIOD, u64(value))
  t.throws(() => set(setup.open(), 1n), { code: 'EINVAL', message: /counting/ })
  const event = setup.open({ attr: { sample_period: 5n } })
  t.throws(() => set(event, 0n), { code: 'EINVAL' })
  t.throws(() => set(event, 1n << 63n), { code: 'EINVAL' })
  t.throws(() => ioctlWith(event, abi.PERF_EVENT_IOC_PERIOD, new Uint8Array(4)), { code: 'EFAULT' })
  const frequency = setup.open({ attr: { sample_period: 5n, freq: true, disabled: true } })
  t.throws(() => set(frequency, 100_001n), { code: 'EINVAL', message: /100000/ })
  setup.pmu.log.length = 0
  t.equal(set(event, 77n).result, 0)
  t.same(setup.pmu.log, ['pmu_disable', 'stop', 'start', 'pmu_enable'], 'one that runs is reprogrammed')
  t.equal(event.attr.sample_period, 77n)
  t.equal(event.hw.sample_period, 77n)
  set(frequency, 100_000n)
  t.equal(setup.pmu.log.length, 4, 'one that is off is not')
  setup.pmu.periodVerdict = new Failure('EINVAL', 'odd')
  t.throws(() => set(event, 3n), { code: 'EINVAL', message: 'odd' })
})

t.test('ioctls that need what no event has here fail as in the kernel', async t => {
  const setup = new Setup()
  const event = setup.open()
  const other = setup.open()
  const rows: [number, bigint, IoctlContext, string][] = [
    [abi.PERF_EVENT_IOC_SET_OUTPUT, 0xffff_ffffn, {}, 'EBADF'],
    [abi.PERF_EVENT_IOC_SET_OUTPUT, 3n, { eventOfFd: () => undefined }, 'EBADF'],
    [abi.PERF_EVENT_IOC_SET_OUTPUT, 3n, { eventOfFd: fd => (fd === 3 ? other : undefined) }, 'EINVAL'],
    [abi.PERF_EVENT_IOC_SET_OUTPUT, 4n, { eventOfFd: fd => (fd === 3 ? other : undefined) }, 'EBADF'],
    [abi.PERF_EVENT_IOC_SET_FILTER, 0n, {}, 'EINVAL'],
    [abi.PERF_EVENT_IOC_SET_BPF, 3n, {}, 'EBADF'],
    [abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 1n, {}, 'EINVAL'],
    [abi.PERF_EVENT_IOC_QUERY_BPF, 0n, { caller: ROOT }, 'EINVAL'],
    [abi.PERF_EVENT_IOC_QUERY_BPF, 0n, { caller: NOBODY }, 'EPERM'],
    [abi.PERF_EVENT_IOC_QUERY_BPF, 0n, {}, 'EPERM'],
    [0x5401, 0n, {}, 'ENOTTY'],
    [0x541b, 0n, {}, 'ENOTTY'],
    [_IO(0x24, 4), 0n, {}, 'ENOTTY'],
  ]
  for (const [cmd, arg, context, code] of rows)
    t.throws(() => ioctl(event, cmd, arg, context), { code }, `0x${cmd.toString(16)} ${arg}`)
  t.equal(ioctl(event, abi.PERF_EVENT_IOC_SET_OUTPUT, (1n << 64n) - 1n).result, 0)
})

t.test('PERF_EVENT_IOC_MODIFY_ATTRIBUTES judges size, then type, and takes only breakpoints', async t => {
  const event = new Setup().open()
  const modify = (type: number, size: number) => {
    const head = encodeAttr(attrOf({ type })).slice(0, 8)
    new DataView(head.buffer).setUint32(4, size, true)
    return () => ioctlWith(event, abi.PERF_EVENT_IOC_MODIFY_ATTRIBUTES, head)
  }
  t.throws(modify(event.attr.type, 63), { code: 'E2BIG' })
  t.throws(modify(event.attr.type + 1, 0), { code: 'EINVAL' })
  t.throws(modify(event.attr.type, 136), { code: 'EOPNOTSUPP' })
  t.throws(() => ioctlWith(event, abi.PERF_EVENT_IOC_MODIFY_ATTRIBUTES, new Uint8Array(0)), {
    code: 'EFAULT',
  })
})

t.test('the ioctl numbers are those of the kernel', async t => {
  t.equal(abi.PERF_EVENT_IOC_ENABLE, 0x2400)
  t.equal(abi.PERF_EVENT_IOC_DISABLE, 0x2401)
  t.equal(abi.PERF_EVENT_IOC_REFRESH, 0x2402)
  t.equal(abi.PERF_EVENT_IOC_RESET, 0x2403)
  t.equal(abi.PERF_EVENT_IOC_PERIOD, 0x40082404)
  t.equal(abi.PERF_EVENT_IOC_SET_OUTPUT, 0x2405)
  t.equal(abi.PERF_EVENT_IOC_SET_FILTER, 0x40082406)
  t.equal(abi.PERF_EVENT_IOC_ID, 0x80082407)
  t.equal(abi.PERF_EVENT_IOC_SET_BPF, 0x40042408)
  t.equal(abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 0x40042409)
  t.equal(abi.PERF_EVENT_IOC_QUERY_BPF, 0xc008240a)
  t.equal(abi.PERF_EVENT_IOC_MODIFY_ATTRIBUTES, 0x4008240b)
})
