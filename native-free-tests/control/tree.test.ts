import t from 'tap'
import type { Caller } from '../../src/abi/caller.js'
import { Failure } from '../../src/abi/errno.js'
import { O_RDWR, POLLIN } from '../../src/abi/fs.js'
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_ID,
  PERF_EVENT_IOC_RESET,
} from '../../src/abi/perf-event.js'
import { PR_TASK_PERF_EVENTS_DISABLE, PR_TASK_PERF_EVENTS_ENABLE } from '../../src/abi/prctl.js'
import { controlTree } from '../../src/control/control-tree.js'
import { memoryClient } from '../../src/fuse/memory.js'
import { dynamicDirectory } from '../../src/kernfs/directory.js'
import { KvmPmu } from '../../src/kvm/kvm-pmu.js'
import { VmList } from '../../src/kvm/vm-list.js'
import { PerfCore } from '../../src/perf/core.js'
import { PmuRegistry } from '../../src/perf/registry.js'
import { FakeRefresher } from '../../src/sources/fake/fake-refresher.js'
import { FakeSource } from '../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { fakeHost, fakeTask } from '../kvm/support/fake-host.js'

const owner = { uid: 0, gid: 0 }

interface Options {
  readonly refresher?: FakeRefresher
  readonly maxHandles?: number
  readonly credentialsOf?: (tid: number) => Caller | Failure
  readonly startTimeOf?: (tid: number) => bigint | undefined
}

/** A mount in memory with one VM, its vCPUs on threads 1001 and 1002. */
function machine({
  refresher,
  maxHandles = 100,
  credentialsOf = () => new Failure('ESRCH'),
  startTimeOf = () => 1n,
}: Options = {}) {
  const registry = new PmuRegistry()
  const tasks = [fakeTask(1001), fakeTask(1002), fakeTask(1003, 2000)]
  const core = new PerfCore(fakeHost(tasks), registry)
  const vms = new VmList()
  const source = new FakeSource({ events: ['exits', 'io_exits'], ...(refresher && { refresher }) })
  const vm = new FakeVm({ source })
  vms.add(vm)
  new KvmPmu(registry, vms, { sharing: true, exitEvents: events => core.exitEvents(events) })
  const tree = controlTree({
    owner,
    core,
    registry,
    maxHandles,
    attrSize: 136,
    credentialsOf,
    startTimeOf,
  })
  const children = new Map<string, () => ReturnType<typeof tree.control> | typeof tree.handles>([
    ['control', tree.control],
    ['handles', () => tree.handles],
    ['perf_event_open', tree.perf_event_open],
  ])
  const root = dynamicDirectory({
    owner,
    ino: 1n,
    names: () => children.keys(),
    child: name => children.get(name)?.(),
  })
  const fs = memoryClient(root)
  const ask = (request: object) => {
    const file = fs.open('control', O_RDWR)
    const pending = file.writeLater(JSON.stringify(request))
    return { file, pending, answer: () => JSON.parse(file.readText()) as Record<string, unknown> }
  }
  const open = (request: object = {}): string => {
    const asked = ask({ type: 'kvm', config: 'exits', pid: 1001, ...request })
    asked.pending.value()
    return String(asked.answer().path)
  }
  return { core, tasks, source, vm, fs, ask, open }
}

const u64 = (bytes: Uint8Array, index = 0): bigint =>
  new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(index * 8, true)

t.test('control answers in the open file that asked, once', async t => {
  const { fs, ask } = machine()
  const { file, pending, answer } = ask({ type: 'kvm', config: 'exits', pid: 1001 })
  pending.value()
  t.strictSame(answer(), { handle: 1, path: 'handles/1' })
  t.equal(file.readText(), '', 'an answer is read once')
  t.throws(() => file.write('{'), { code: 'EINVAL' })
  t.match(answer(), { errno: 'EINVAL', error: /as JSON/ })
  t.equal(fs.open('control', O_RDWR).readText(), '', 'another open file has no answer')
  t.equal(file.write(''), 0, 'an empty write asks nothing')
})

t.test('a write of white space alone asks nothing and leaves the answer', async t => {
  const { fs } = machine()
  const text = '{"type":"kvm","config":"exits","pid":1001}'
  const twice = (path: string) => {
    const file = fs.open(path, O_RDWR)
    t.equal(file.write(' \t\r\n'), 4)
    file.write(text)
    t.equal(file.write('\n'), 1)
    return file
  }
  t.match(JSON.parse(twice('control').readText()), { handle: 1 })
  fs.mkdir('handles/boot')
  t.match(JSON.parse(twice('handles/boot/attr').readText()), { path: 'handles/boot' })
  const event = fs.open('perf_event_open', O_RDWR)
  t.equal(event.write('\n'), 1)
  t.throws(() => event.write('{'), { code: 'EINVAL' })
  event.write('\n')
  t.match(JSON.parse(event.readText()), { error: /as JSON/ })
  event.write(text)
  t.throws(() => event.write('\n'), { code: 'EINVAL' }, 'an event takes no data, as in the kernel')
})

t.test("an event may be written as on perf's command line", async t => {
  const { fs, open, ask } = machine()
  const attrOf = (path: string) => JSON.parse(fs.read(`${path}/attr`)) as Record<string, unknown>
  const first = open({ config: 'kvm/io_exits/' })
  t.match(attrOf(first), { config: 1 })
  const type = attrOf(first).type
  for (const request of [
    { config: 'kvm/event=1/', type: undefined },
    { config: 'kvm/io_exits/', type },
    { config: 'kvm/io_exits/', type: String(type) },
    { config: `${String(type)}/io_exits/` },
  ])
    t.match(attrOf(open(request)), { type, config: 1 })
  t.match(attrOf(open({ config: 'kvm//' })), { type, config: 0 }, 'no terms are no bits, as in perf')
  const refusals: readonly [object, string, RegExp][] = [
    [{ config: 'kvm_vm/exits/', type: undefined }, 'ENOENT', /No PMU is named "kvm_vm": did you mean "kvm"/],
    [{ config: 'kvm/exits/', type: 7 }, 'EINVAL', /not that of PMU "kvm"/],
    [{ config: 'kvm/exits/', type: 'io' }, 'ENOENT', /"io"/],
    [{ config: 'kvm/exits/u' }, 'EINVAL', /Cannot take "u" behind the last slash.*exclude_kernel/],
    [{ config: 'kvm/5/' }, 'EINVAL', /event or term "5"/],
    [{ config: 'kvm/exits' }, 'EINVAL', /event or term "kvm\/exits"/],
    [{ config: '/exits/' }, 'EINVAL', /event or term/],
  ]
  for (const [request, errno, error] of refusals) {
    const refused = ask({ type: 'kvm', pid: 1001, ...request })
    t.throws(() => refused.pending.value(), { code: errno }, JSON.stringify(request))
    t.match(refused.answer(), { errno, error }, JSON.stringify(request))
  }
})

t.test('control takes 64 KiB and refuses more with EFBIG', async t => {
  const { fs } = machine()
  const file = fs.open('control', O_RDWR)
  const padded = (size: number) => '{"type":"kvm","config":"exits","pid":1001}'.padEnd(size)
  t.equal(file.write(padded(65_536)), 65_536)
  t.throws(() => file.write(padded(65_537)), { code: 'EFBIG' })
  t.match(JSON.parse(file.readText()), { errno: 'EFBIG', error: /65536/ })
})

t.test('a handle shows count, state, id and times, and closes', async t => {
  const { fs, source, vm, open, ask } = machine()
  const path = open()
  source.happen(vm.vcpu(0), 'exits', 5n)
  t.equal(fs.read(`${path}/count`), '5\n')
  t.equal(fs.read(`${path}/state`), 'active\n')
  t.match(fs.read(`${path}/id`), /^\d+\n$/)
  t.strictSame(fs.readdir(path).sort(), [
    'attr',
    'count',
    'enable',
    'event',
    'id',
    'reset',
    'state',
    'time_enabled',
    'time_running',
  ])
  fs.write(`${path}/enable`, '0\n')
  source.happen(vm.vcpu(0), 'exits', 5n)
  t.equal(fs.read(`${path}/count`), '5\n', 'a stopped event stands still')
  t.equal(fs.read(`${path}/enable`), '0\n')
  fs.write(`${path}/reset`, '1\n')
  t.equal(fs.read(`${path}/count`), '0\n')
  t.throws(() => fs.write(`${path}/reset`, '0\n'), { code: 'EINVAL' })
  t.throws(() => fs.write(`${path}/enable`, 'x\n'), { code: 'EINVAL' })
  ask({ op: 'close', handle: 1 }).pending.value()
  t.throws(() => fs.read(`${path}/count`), { code: 'ENOENT' })
  t.notOk(source.isArmed(vm.vcpu(0), 'exits'), 'and nothing stays armed')
})

t.test(
  'a file that was open when its handle closed answers ENODEV, an event descriptor lives on',
  async t => {
    const { fs, source, vm, open, ask } = machine()
    const path = open()
    const count = fs.open(`${path}/count`)
    const event = fs.open(`${path}/event`, O_RDWR)
    ask({ op: 'close', handle: 1 }).pending.value()
    t.throws(() => count.read(), { code: 'ENODEV' })
    source.happen(vm.vcpu(0), 'exits', 3n)
    t.equal(u64(event.read(8)), 3n)
    t.ok(source.isArmed(vm.vcpu(0), 'exits'))
    event.close()
    t.notOk(source.isArmed(vm.vcpu(0), 'exits'))
  },
)

t.test("an event descriptor answers as the kernel's", async t => {
  const { fs, source, vm, open } = machine()
  const path = open({ disabled: true })
  const event = fs.open(`${path}/event`, O_RDWR)
  t.throws(() => event.write('x'), { code: 'EINVAL' })
  t.throws(() => event.read(7), { code: 'ENOSPC' })
  t.equal(u64(event.ioctl(PERF_EVENT_IOC_ID).output), BigInt(fs.read(`${path}/id`).trim()))
  event.ioctl(PERF_EVENT_IOC_ENABLE)
  source.happen(vm.vcpu(0), 'exits', 2n)
  event.ioctl(PERF_EVENT_IOC_DISABLE)
  source.happen(vm.vcpu(0), 'exits', 2n)
  t.equal(u64(event.read(8)), 2n)
  event.ioctl(PERF_EVENT_IOC_RESET)
  t.equal(u64(event.read(8)), 0n)
  t.throws(() => event.ioctl(0x5401), { code: 'ENOTTY' })
})

t.test('a closed descriptor leaves nobody waiting on an event that lives on', async t => {
  const { fs, core, tasks, open } = machine()
  const path = open()
  const [gone, kept] = [fs.open(`${path}/event`, O_RDWR), fs.open(`${path}/event`, O_RDWR)]
  const isAsleep = true
  gone.poll(POLLIN, isAsleep)
  kept.poll(POLLIN, isAsleep)
  gone.close()
  const [task] = tasks
  if (!task) throw new Error('no task')
  task.isExited = true
  core.taskExited(task)
  t.strictSame([gone.wakes, kept.wakes], [0, 1])
})

t.test('perf_event_open becomes the event, each open another', async t => {
  const { fs, source, vm, core } = machine()
  const [first, second] = [fs.open('perf_event_open', O_RDWR), fs.open('perf_event_open', O_RDWR)]
  t.throws(() => first.read(8), { code: 'ENODEV' })
  t.throws(() => first.ioctl(PERF_EVENT_IOC_ENABLE), { code: 'ENODEV' })
  t.throws(() => first.write('{}'), { code: 'EINVAL' })
  t.match(JSON.parse(first.readText()), { errno: 'EINVAL' }, 'a refusal can be read')
  for (const file of [first, second]) file.write('{"type":"kvm","config":"exits","pid":1001}')
  source.happen(vm.vcpu(0), 'exits', 7n)
  t.equal(u64(first.read(8)), 7n)
  t.throws(() => first.write('{"type":"kvm","config":"exits","pid":1001}'), { code: 'EINVAL' })
  t.equal(core.eventCount, 2)
  first.close()
  t.equal(u64(second.read(8)), 7n)
  second.close()
  t.equal(core.eventCount, 0)
})

t.test("group_fd takes a handle, group_ino a descriptor's inode", async t => {
  const { fs, open, ask } = machine()
  const path = open({ read_format: ['GROUP'] })
  const ino = fs.stat(`${path}/event`).ino
  const event = fs.open(`${path}/event`, O_RDWR)
  open({ config: 'io_exits', group_fd: 1 })
  open({ config: 'io_exits', group_ino: String(ino) })
  t.equal(u64(event.read(64)), 3n)
  for (const request of [{ group_fd: 99 }, { group_fd: -2 }, { group_ino: 1 }]) {
    const refused = ask({ type: 'kvm', config: 'exits', pid: 1001, ...request })
    t.throws(() => refused.pending.value(), { code: 'EBADF' })
  }
})

t.test('a request may name its caller: root for anybody, others for themselves', async t => {
  const seen: number[] = []
  const { fs } = machine({
    credentialsOf: tid => {
      seen.push(tid)
      return { uid: 1000, gid: 1000, tid }
    },
  })
  const request = '{"type":"kvm","config":"exits","pid":1001,"caller":77}'
  fs.open('perf_event_open', O_RDWR).write(request)
  t.strictSame(seen, [77])
  const file = fs.open('perf_event_open', O_RDWR)
  t.throws(() => file.as({ uid: 1001, gid: 1001, tid: 5 }).write(request), { code: 'EPERM' })
  t.equal(file.as({ uid: 1000, gid: 1000, tid: 5 }).write(request), request.length)
})

t.test('a prctl switches what its thread has opened, and nothing of an earlier thread of its id', async t => {
  const began = new Map([
    [7, 1n],
    [8, 1n],
  ])
  const { fs, source, vm } = machine({
    credentialsOf: tid => ({ uid: 1000, gid: 1000, tid }),
    startTimeOf: tid => began.get(tid),
  })
  const openBy = (caller: number, disabled = 0) => {
    const file = fs.open('perf_event_open', O_RDWR)
    file.write(JSON.stringify({ type: 'kvm', config: 'exits', pid: 1001, caller, disabled }))
    return file
  }
  const files = [openBy(7), openBy(7, 1), openBy(8)]
  const counts = () => {
    source.happen(vm.vcpu(0), 'exits', 1n)
    return files.map(file => Number(u64(file.read(8))))
  }
  const asked = fs.open('perf_event_open', O_RDWR)
  const prctl = (option: number, caller: number) =>
    asked.as({ uid: 1000, gid: 1000, tid: 99 }).write(JSON.stringify({ op: 'prctl', option, caller }))
  t.strictSame(counts(), [1, 0, 1])
  prctl(PR_TASK_PERF_EVENTS_DISABLE, 7)
  t.strictSame(counts(), [1, 0, 2])
  prctl(PR_TASK_PERF_EVENTS_ENABLE, 7)
  t.strictSame(counts(), [2, 1, 3])
  began.set(7, 2n)
  prctl(PR_TASK_PERF_EVENTS_DISABLE, 7)
  t.strictSame(counts(), [3, 2, 4], 'another thread 7 has opened none of them')
  const stranger = asked.as({ uid: 1001, gid: 1001, tid: 5 })
  t.throws(() => stranger.write('{"op":"prctl","option":31,"caller":8}'), { code: 'EPERM' })
  t.throws(() => fs.write('control', '{"op":"prctl","option":31,"caller":8}'), { code: 'EINVAL' })
})

t.test('handles are limited: EMFILE, and room again after a close', async t => {
  const { ask, open, fs } = machine({ maxHandles: 2 })
  open()
  open()
  const refused = ask({ type: 'kvm', config: 'exits', pid: 1001 })
  t.throws(() => refused.pending.value(), { code: 'EMFILE' })
  t.match(refused.answer().error, /--max-handles/)
  t.throws(() => fs.mkdir('handles/x'), { code: 'EMFILE' })
  fs.rmdir('handles/1')
  t.equal(open(), 'handles/3', 'an id is never used again')
})

t.test('a named handle is unopened until its attr is written', async t => {
  const { fs } = machine()
  t.throws(() => fs.mkdir('handles/12'), { code: 'EINVAL' })
  fs.mkdir('handles/boot')
  t.throws(() => fs.mkdir('handles/boot'), { code: 'EEXIST' })
  t.equal(fs.read('handles/boot/state'), 'unopened\n')
  for (const file of ['attr', 'count', 'enable', 'event', 'id', 'time_enabled', 'time_running'])
    t.throws(() => fs.read(`handles/boot/${file}`), { code: 'ENODEV' }, file)
  t.throws(() => fs.write('handles/boot/reset', '1'), { code: 'ENODEV' })
  t.throws(() => fs.write('handles/boot/attr', '{"type":"kvm","config":"exits","pid":1}'), { code: 'ESRCH' })
  t.equal(fs.read('handles/boot/state'), 'unopened\n', 'a refusal leaves it unopened')
  fs.write('handles/boot/attr', '{"type":"kvm","config":"io_exits","pid":1001,"disabled":1}')
  t.equal(fs.read('handles/boot/state'), 'off\n')
  t.match(JSON.parse(fs.read('handles/boot/attr')), {
    type: 4096,
    config: 1,
    disabled: true,
    pid: 1001,
    cpu: -1,
  })
  t.throws(() => fs.write('handles/boot/attr', '{"type":"kvm","config":"exits","pid":1001}'), {
    code: 'EBUSY',
  })
  fs.rmdir('handles/boot')
  t.throws(() => fs.rmdir('handles/boot'), { code: 'ENOENT' })
})

t.test("what must be fetched parks its own requests, in order, and nobody else's", async t => {
  const refresher = new FakeRefresher()
  const { fs, ask, source, vm } = machine({ refresher })
  const { pending, answer } = ask({ type: 'kvm', config: 'exits', pid: 1001 })
  t.notOk(pending.isDone, 'opening waits for a fresh count')
  source.set(vm.vcpu(0), 'exits', 10n)
  refresher.complete()
  pending.value()
  t.strictSame(answer(), { handle: 1, path: 'handles/1' })

  const event = fs.open('handles/1/event', O_RDWR)
  const stopped = event.ioctlLater(PERF_EVENT_IOC_DISABLE)
  const reading = event.readLater(8)
  t.notOk(stopped.isDone || reading.isDone)
  t.equal(fs.read('handles/1/state'), 'active\n', 'what needs no count does not wait')
  source.set(vm.vcpu(0), 'exits', 14n)
  refresher.complete()
  stopped.value()
  t.equal(u64(reading.value()), 4n, 'the read came after the stop')
})

t.test('a fetch that fails is the errno of open, enable and read; a stop keeps the last count', async t => {
  const refresher = new FakeRefresher()
  const { fs, ask, source, vm } = machine({ refresher })
  const late = new Failure('ETIMEDOUT', 'the guest does not answer')
  const first = ask({ type: 'kvm', config: 'exits', pid: 1001 })
  refresher.complete(late)
  t.throws(() => first.pending.value(), { code: 'ETIMEDOUT' })
  t.strictSame(fs.readdir('handles'), [], 'and no handle is left')
  const second = ask({ type: 'kvm', config: 'exits', pid: 1001 })
  refresher.complete()
  second.pending.value()
  source.set(vm.vcpu(0), 'exits', 6n)
  const event = fs.open(String(second.answer().path).concat('/event'), O_RDWR)
  const reading = event.readLater(8)
  refresher.complete(late)
  t.throws(() => reading.value(), { code: 'ETIMEDOUT' })
  const stopping = event.ioctlLater(PERF_EVENT_IOC_DISABLE)
  refresher.complete(late)
  stopping.value()
  const enabling = event.ioctlLater(PERF_EVENT_IOC_ENABLE)
  refresher.complete(late)
  t.throws(() => enabling.value(), { code: 'ETIMEDOUT' })
})

t.test('an interrupted request ends with EINTR and leaves nothing', async t => {
  const refresher = new FakeRefresher()
  const { fs, ask, core } = machine({ refresher })
  const { pending } = ask({ type: 'kvm', config: 'exits', pid: 1001 })
  pending.interrupt()
  t.throws(() => pending.value(), { code: 'EINTR' })
  t.equal(refresher.waiting, 0)
  refresher.complete()
  t.strictSame(fs.readdir('handles'), [])
  t.equal(core.eventCount, 0)
})

t.test('a handle that is removed while it opens leaves no event', async t => {
  const refresher = new FakeRefresher()
  const { fs, core } = machine({ refresher })
  fs.mkdir('handles/x')
  const attr = fs.open('handles/x/attr', O_RDWR)
  const opening = attr.writeLater('{"type":"kvm","config":"exits","pid":1001}')
  t.throws(() => fs.write('handles/x/attr', '{"type":"kvm","config":"exits","pid":1001}'), { code: 'EBUSY' })
  fs.rmdir('handles/x')
  refresher.complete()
  t.throws(() => opening.value(), { code: 'ENODEV' })
  t.equal(core.eventCount, 0)
})

t.test('an event whose thread has exited keeps its last count and says so', async t => {
  const { fs, source, vm, tasks, core, open } = machine()
  const path = open()
  source.happen(vm.vcpu(0), 'exits', 9n)
  const [task] = tasks
  if (!task) throw new Error('no task')
  task.isExited = true
  core.taskExited(task)
  source.happen(vm.vcpu(0), 'exits', 9n)
  t.equal(fs.read(`${path}/count`), '9\n')
  t.equal(fs.read(`${path}/state`), 'exit\n')
})
