/** The machine itself: threads, descriptors, rights and mounts as src/os finds them on the running kernel. */
import { type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { ErrnoError, orThrow } from '../src/abi/errno.js'
import { knownAttrSize } from '../src/os/attr-size.js'
import { credentialsOf, isPerfmonCapable, mayObserve } from '../src/os/credentials.js'
import { spawnDetached } from '../src/os/daemon.js'
import { descriptors } from '../src/os/descriptors.js'
import { LinuxHost } from '../src/os/host.js'
import * as libc from '../src/os/libc.js'
import { procView } from '../src/os/proc-view.js'
import { type LinuxTask, LinuxTasks } from '../src/os/tasks.js'
import { schedstatRuntime } from '../src/os/thread-runtime.js'
import { connectSocket } from '../src/os/unix-socket.js'
import { PollWaiter } from '../src/os/waiter.js'
import { closeWake, createWake, drain, ring } from '../src/os/wake.js'
import type { PerfHost } from '../src/perf/task.js'
import type { Descriptors, ProcView } from '../src/sources/discovery/proc-view.js'
import type { QmpConnect } from '../src/sources/qmp/connection.js'

const NOBODY = 65534
const nobody = { uid: NOBODY, gid: NOBODY }
const skip = process.getuid?.() === 0 ? false : 'needs root'
const sysctl = (name: string) => Number(readFileSync(`/proc/sys/kernel/${name}`, 'utf8'))
const openDescriptors = () => readdirSync('/proc/self/fd').length

/** A thread of this process that spins for as many milliseconds as it is told, and sleeps otherwise. */
const threadCode = `
const { parentPort } = require('node:worker_threads')
parentPort.on('message', milliseconds => {
  const start = performance.now()
  while (performance.now() - start < milliseconds);
  parentPort.postMessage('done')
})
parentPort.postMessage(Number(require('node:fs').readlinkSync('/proc/thread-self').split('/').at(-1)))`

async function startThread(): Promise<{ worker: Worker; tid: number }> {
  const worker = new Worker(threadCode, { eval: true })
  const [tid] = await once(worker, 'message')
  return { worker, tid }
}

async function spin(worker: Worker, milliseconds: number): Promise<void> {
  worker.postMessage(milliseconds)
  await once(worker, 'message')
}

/** Asks until two answers in a row are the same: the thread has gone to sleep. */
async function atRest(read: () => bigint | undefined): Promise<bigint> {
  for (let last = read(); ; await sleep(20)) {
    const value = read()
    if (value !== undefined && value === last) return value
    last = value
  }
}

/** Starts a shell command that ends in "exec sleep" or the like, and waits until that program runs. */
async function start(test: Test, command: string, options: SpawnOptions = {}): Promise<number> {
  const child = spawn('sh', ['-c', command], { stdio: 'ignore', ...options })
  test.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL'))
      await once(child, 'exit')
  })
  await once(child, 'spawn')
  const pid = child.pid ?? 0
  while (readFileSync(`/proc/${pid}/comm`, 'utf8') !== 'sleep\n') await sleep(5)
  return pid
}

const throwsErrno = (test: Test, code: string, run: () => unknown) =>
  test.throws(run, { code, constructor: ErrnoError }, code)

t.test('libc calls give values and throw ErrnoError named after the call', async t => {
  t.throws(() => libc.close(-1), { code: 'EBADF', errno: -9, syscall: 'close' })
  throwsErrno(t, 'ESRCH', () => libc.pidfd_open(0x3fffffff))
  throwsErrno(t, 'ENOTTY', () => libc.ioctl(0, 0xffff))
  const fd = libc.memfd_create('pmufs-test', 1)
  t.equal(libc.pwrite(fd, Buffer.from('count'), 3), 5)
  const bytes = Buffer.alloc(16)
  t.equal(libc.pread(fd, bytes, 3), 5)
  t.equal(bytes.toString('latin1', 0, 5), 'count')
  libc.close(fd)
  const PROT_READ_WRITE = 3
  const MAP_PRIVATE_ANONYMOUS = 0x22
  const address = libc.mmap({
    length: 4096,
    protection: PROT_READ_WRITE,
    flags: MAP_PRIVATE_ANONYMOUS,
    fd: -1,
  })
  const memory = new Uint8Array(libc.memoryAt(address, 4096))
  memory.set([6, 7, 8])
  const copy = new Uint8Array(3)
  t.equal(libc.process_vm_readv(process.pid, address, copy), 3)
  t.same(copy, [6, 7, 8])
  libc.munmap(address, 4096)
  t.equal(libc.gettid(), process.pid)
})

t.test('a ring of the doorbell ends a wait, from another thread too, and rings add up', async t => {
  const device = createWake()
  const wake = createWake()
  const waiter = new PollWaiter({ device, wake, tasks: -1, timeout: 0 })
  t.match(
    waiter.wait(),
    { request: false, wake: false, tasks: true },
    'a timeout is the time to look for exits',
  )
  t.equal(drain(wake), false)
  ring(wake)
  ring(wake)
  t.match(waiter.wait(), { request: false, wake: true, tasks: false })
  t.equal(drain(wake), true)
  t.equal(drain(wake), false, 'both rings were taken')
  const other = new Worker(
    `const fs = require('node:fs'), { workerData } = require('node:worker_threads')
     fs.writeSync(workerData, new Uint8Array(new BigUint64Array([1n]).buffer))`,
    { eval: true, workerData: wake },
  )
  await once(other, 'exit')
  ring(device)
  const patient = new PollWaiter({ device, wake, tasks: -1 })
  t.match(
    patient.wait(),
    { request: true, wake: true, tasks: false },
    'what came first is seen with the request',
  )
  closeWake(device)
  closeWake(wake)
})

t.test('a thread that exits while its process lives on is exited at once, and is reported once', async t => {
  const exited: LinuxTask[] = []
  const before = openDescriptors()
  const tasks = new LinuxTasks(task => exited.push(task))
  const { worker, tid } = await startThread()
  const task = orThrow(tasks.find(tid))
  t.match(task, { tid, tgid: process.pid, isExited: false })
  t.equal(tasks.find(tid), task, 'one object for each thread')
  t.not(orThrow(tasks.find(process.pid)).startTime, 0n)
  await worker.terminate()
  // The event comes before the thread itself is gone.
  while (readdirSync('/proc/self/task').includes(String(tid))) await sleep(1)
  t.equal(task.isExited, true)
  t.match(tasks.find(tid), { code: 'ESRCH' })
  const bell = createWake()
  ring(bell)
  const waiter = new PollWaiter({ device: -1, wake: bell, tasks: tasks.fd })
  t.match(waiter.wait(), { wake: true, tasks: true })
  tasks.collectExits()
  tasks.collectExits()
  t.same(
    exited.map(one => one.tid),
    [tid],
  )
  t.match(waiter.wait(), { wake: true, tasks: false }, 'a collected exit is no news')
  closeWake(bell)
  const last = task.runtime()
  t.ok(last > 0n, 'the last time stays readable')
  task.release()
  task.release()
  t.equal(task.runtime(), last)
  tasks.close()
  t.equal(openDescriptors(), before)
})

t.test('what the last reference held is closed with it', async t => {
  const tasks = new LinuxTasks(() => t.fail('nobody exited'))
  const before = openDescriptors()
  const task = orThrow(tasks.find(process.pid))
  task.hold()
  task.release()
  t.ok(openDescriptors() > before)
  task.release()
  t.equal(openDescriptors(), before)
  const again = orThrow(tasks.find(process.pid))
  t.not(again, task)
  again.release()
  tasks.close()
})

t.test('a killed child is exited once it was waited for; a zombie cannot be found', async t => {
  const tasks = new LinuxTasks(() => undefined)
  const child = spawn('sleep', ['100'], { stdio: 'ignore' })
  await once(child, 'spawn')
  const task = orThrow(tasks.find(child.pid ?? 0))
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.equal(task.isExited, true)
  task.release()
  const parent = await start(t, 'sleep 0 & exec sleep 100')
  const zombie = Number(readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8'))
  while (!readFileSync(`/proc/${zombie}/stat`, 'utf8').includes(') Z ')) await sleep(5)
  t.match(tasks.find(zombie), { code: 'ESRCH' })
  for (const tid of [0, -1, 0x3fffffff]) t.match(tasks.find(tid), { code: 'ESRCH' }, `thread ${tid}`)
  tasks.close()
})

t.test('runtime() advances while the thread runs, stands still while it sleeps and outlives it', async t => {
  const tasks = new LinuxTasks(() => undefined)
  const { worker, tid } = await startThread()
  const task = orThrow(tasks.find(tid))
  const schedstat = schedstatRuntime(tid)
  const scheduler = () => schedstat.read() ?? 0n
  const start = process.hrtime.bigint()
  const [before, reference] = [await atRest(() => task.runtime()), await atRest(scheduler)]
  await spin(worker, 200)
  const [ran, expected] = [
    (await atRest(() => task.runtime())) - before,
    (await atRest(scheduler)) - reference,
  ]
  const elapsed = process.hrtime.bigint() - start
  t.ok(expected > 0n)
  // The scheduler leaves out what a hypervisor took of the thread's time on a CPU; an event does not.
  t.ok(
    ran * 20n > expected * 19n && ran <= elapsed,
    `event ${ran} ns, scheduler ${expected}, in all ${elapsed}`,
  )
  await worker.terminate()
  while (readdirSync('/proc/self/task').includes(String(tid))) await sleep(1)
  const last = task.runtime()
  t.ok(last >= before + ran)
  t.equal(task.runtime(), last)
  t.equal(schedstat.read(), undefined, 'schedstat has no last value')
  schedstat.close()
  task.release()
  tasks.close()
})

t.test('LinuxHost tells what the kernel tells', async t => {
  const tasks = new LinuxTasks(() => undefined)
  const host: PerfHost = new LinuxHost(tasks)
  t.equal(host.paranoid(), sysctl('perf_event_paranoid'))
  t.equal(host.maxStack(), sysctl('perf_event_max_stack'))
  t.equal(Number(host.maxSampleRate()), sysctl('perf_event_max_sample_rate'))
  t.equal(host.isCpuOnline(0), true)
  t.equal(host.isCpuOnline(host.nr_cpu_ids), false)
  const now = process.hrtime.bigint()
  t.ok(host.clock() >= now)
  const own = orThrow(host.findTask(0, { uid: 0, gid: 0, tid: process.pid }))
  t.equal(own.tid, process.pid, '0 is the caller itself')
  own.release()
  tasks.close()
  const size = knownAttrSize() ?? 0
  t.ok(size >= 112 && size % 8 === 0, `perf_event_attr takes ${size} bytes here`)
})

t.test('who may observe whom follows ptrace read access', { skip }, async t => {
  const root = { uid: 0, gid: 0, tid: process.pid }
  const theirs = await start(t, 'exec sleep 100', nobody)
  const other = await start(t, 'exec sleep 100', nobody)
  const ours = await start(t, 'exec sleep 100')
  const caller = orThrow(credentialsOf(theirs))
  t.same(caller, { ...nobody, tid: theirs })
  t.match(credentialsOf(0x3fffffff), { code: 'ESRCH' })
  t.equal(isPerfmonCapable(root), true)
  t.equal(isPerfmonCapable(caller), false)
  t.equal(isPerfmonCapable({ uid: 0, gid: 0, tid: 0 }), true, 'root that cannot be seen')
  t.equal(mayObserve(root, theirs), true)
  t.equal(mayObserve(caller, other), true, 'the same user')
  t.equal(mayObserve(caller, ours), false, 'another user')
  t.equal(mayObserve({ ...nobody, tid: 0 }, other), true, 'a caller that cannot be seen, the same user')
  t.equal(mayObserve({ ...nobody, gid: 1, tid: 0 }, other), false, 'another group')
  const halfRoot = await start(t, 'exec sleep 100', { uid: NOBODY, gid: 0 })
  t.equal(mayObserve(caller, halfRoot), false, 'another group')
  t.equal(mayObserve(caller, theirs), true, 'itself')
})

t.test('a process that is not dumpable is hidden from its own user', { skip }, async t => {
  const dir = t.testdir()
  const secret = join(dir, 'sleep')
  copyFileSync('/bin/sleep', secret)
  chmodSync(secret, 0o711)
  chmodSync(dir, 0o755)
  const hidden = await start(t, `exec "${secret}" 100`, nobody)
  t.equal(mayObserve({ ...nobody, tid: 0 }, hidden), false)
  t.equal(mayObserve({ uid: 0, gid: 0, tid: process.pid }, hidden), true)
})

t.test('capabilities in a user namespace of its own do not count', { skip }, async t => {
  const contained = await start(t, 'exec unshare -U sleep 100', nobody)
  const caller = { ...nobody, tid: contained }
  t.equal(isPerfmonCapable(caller), false)
  t.equal(mayObserve(caller, process.pid), false)
})

t.test('takeDescriptor() shares the open file, or says why not', async t => {
  const dir = t.testdir({ counts: 'exits' })
  const tgid = await start(t, `exec 9<"${join(dir, 'counts')}" && exec sleep 100`)
  const before = openDescriptors()
  const fd = descriptors.take(tgid, 9)
  const taken: Descriptors = descriptors
  t.equal(taken.ownLink(fd), join(dir, 'counts'))
  const bytes = Buffer.alloc(8)
  t.equal(bytes.toString('latin1', 0, libc.pread(fd, bytes, 0)), 'exits')
  libc.close(fd)
  t.equal(descriptors.ownLink(fd), undefined, 'it is closed')
  t.throws(() => descriptors.take(tgid, 1000), { code: 'EBADF', message: /descriptor 1000 of process/ })
  t.throws(() => descriptors.take(0x3fffffff, 0), { code: 'ESRCH' })
  t.equal(openDescriptors(), before)
})

t.test('procView shows processes, threads and descriptors, and nothing of those that are gone', async t => {
  const view: ProcView = procView
  const dir = t.testdir({ counts: 'exits' })
  const tgid = await start(t, `exec 9<"${join(dir, 'counts')}" && exec sleep 100`)
  t.ok(view.processes().includes(tgid))
  t.ok(view.descriptors(tgid).includes(9))
  t.equal(view.link(tgid, 9), join(dir, 'counts'))
  t.same(view.threads(tgid), [tgid])
  t.equal(view.read(tgid, tgid, 'comm'), 'sleep\n')
  t.same(view.commandLine(tgid), ['sleep', '100'])
  const { worker, tid } = await startThread()
  t.ok(view.threads(process.pid).includes(tid))
  t.equal(view.processOf(tid), process.pid)
  await worker.terminate()
  const gone = 0x3fffffff
  t.same([view.descriptors(gone), view.threads(gone), view.commandLine(gone)], [[], [], []])
  for (const nothing of [
    view.link(gone, 0),
    view.link(tgid, 999),
    view.read(gone, gone, 'stat'),
    view.processOf(gone),
  ])
    t.equal(nothing, undefined)
})

/** Says something to a socket and gives what comes back until the end. */
const talk = (to: string): Promise<{ said: string; error: Error | undefined }> =>
  new Promise(resolve => {
    const connect: QmpConnect = connectSocket
    let said = ''
    const connection = connect(to, {
      data: bytes => {
        said += Buffer.from(bytes).toString()
      },
      closed: error => resolve({ said, error }),
    })
    connection.send('there and')
  })

t.test('a socket connection carries text both ways and tells of its end once', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'pmufs-test-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const path = join(dir, 'socket')
  const server = createServer(peer => peer.on('data', bytes => peer.end(`${bytes.toString()} back`)))
  server.listen(path)
  await once(server, 'listening')
  t.same(await talk(path), { said: 'there and back', error: undefined })
  t.match(await talk(`${path}.none`), { said: '', error: { code: 'ENOENT' } })
  t.match(await talk(`${path}/${'long/'.repeat(20)}`), { said: '', error: { code: 'ENAMETOOLONG' } })
  server.close()
})

t.test('spawnDetached() runs Node in a session of its own, its output in the log', async t => {
  const log = join(t.testdir(), 'log')
  const script =
    'console.log(require("node:fs").readFileSync("/proc/self/stat", "utf8")); process.exitCode = 3'
  const { pid, ended } = await spawnDetached(['-e', script], log)
  t.equal(await ended, 3)
  const text = readFileSync(log, 'utf8')
  const [, , , session] = text.slice(text.lastIndexOf(')') + 2).split(' ')
  t.equal(Number(session), pid)
})

const daemonModule = new URL('../dist/os/daemon.js', import.meta.url).href
const telling = `import(${JSON.stringify(daemonModule)}).then(({ tellReady }) => tellReady())`

t.test('tellReady() ends the wait of spawnDetached()', async t => {
  const log = join(t.testdir(), 'log')
  const child = await spawnDetached(['-e', telling], log)
  await child.ready
  t.equal(await child.ended, 0)
})

t.test("tellReady() leaves the channel of another parent's alone", async t => {
  const script = `${telling}.then(() => process.send('still ' + process.connected)); process.on('message', () => process.disconnect())`
  // As a child of a server in the background would inherit it.
  const env = { ...process.env, PMUFS_READY_PARENT: '1' }
  const child = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env,
  })
  const said: unknown[] = []
  child.on('message', message => {
    said.push(message)
    child.send('end')
  })
  await once(child, 'exit')
  t.same(said, ['still true'])
})
