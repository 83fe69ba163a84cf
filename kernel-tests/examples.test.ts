/** The examples, run as their comments say: each counts exactly what was made to happen, by `control` and under perf. */
import { spawn } from 'node:child_process'
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import t from 'tap'
import { openRequest } from './support/handles.js'
import { end, type Mounted, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { perfStat, printed } from './support/perf.js'
import { example } from './support/program.js'
import { worker } from './support/worker.js'

const countOf = async (mount: Mounted, handle: string) =>
  Number((await mount.sh(`cat ${handle}/count`)).stdout)

t.test('thread-io counts what a thread writes, exactly', needs('root', 'fuse', 'perf'), async t => {
  const mount = await example(t, 'thread-io')
  const { pid, run } = worker(t)
  // The shell itself writes "done" once for each run.
  const write = () => run('for ((i = 0; i < 1000; i++)); do echo hello; done >/dev/null')
  const calls = await openRequest(mount, { type: 'io', config: 'write_calls', pid })
  const bytes = await openRequest(mount, { type: 'io', config: 'written', pid })
  t.equal((await mount.sh('cat sys/bus/event_source/devices/io/events/written.unit')).stdout, 'Bytes')

  await write()
  t.equal(await countOf(mount, calls), 1001)
  t.equal(await countOf(mount, bytes), 6005)

  const lines = await perfStat(mount, ['-e', 'io/write_calls/,io/written/', '-t', String(pid)], write)
  t.equal(printed(lines, 'io/write_calls/'), 1001)
  t.equal(printed(lines, 'io/written/'), 6005)
  t.equal(await countOf(mount, calls), 2002)

  await run('exit')
  await until('the thread has ended', async () =>
    (await mount.sh(`cat ${calls}/state`)).stdout.includes('exit'),
  )
  t.ok((await countOf(mount, calls)) >= 2002, 'the last count stays')
})

const freePort = () =>
  new Promise<number>(resolve => {
    const server = createServer().listen(0, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })

t.test('http-requests counts what its program does, exactly', needs('root', 'fuse', 'perf'), async t => {
  const port = await freePort()
  const mount = await example(t, 'http-requests', String(port))
  const ask = async (times: number) => {
    for (let i = 0; i < times; i++) await (await fetch(`http://127.0.0.1:${port}/`)).text()
  }
  const requests = await openRequest(mount, { type: 'http', config: 'requests', pid: -1, cpu: 0 })
  await ask(25)
  t.equal(await countOf(mount, requests), 25)

  const lines = await perfStat(mount, ['-a', '-e', 'http/requests/,http/sent/'], () => ask(40))
  t.equal(printed(lines, 'http/requests/'), 40)
  t.equal(printed(lines, 'http/sent/'), 40 * 'You asked for /\n'.length)

  const onThread = openRequest(mount, { type: 'http', config: 'requests', pid: process.pid })
  await t.rejects(onThread, { message: /whole CPUs only/ }, 'no thread has it')
})

/** Nanoseconds, see proc_pid_schedstat(5). */
const timeOnCpu = (tid: number) => readFileSync(`/proc/${tid}/schedstat`, 'latin1').split(' ')[0]

t.test('vmm-files counts guests by what their VMMs publish', needs('root', 'fuse', 'perf'), async t => {
  const folder = t.testdir()
  const mount = await example(t, 'vmm-files', folder)
  t.equal((await mount.sh('ls vms')).stdout, '')

  function vmm(name: string) {
    // It runs now and then: what has no time on a CPU perf does not call counted.
    const child = spawn('sh', ['-c', 'while sleep 0.01; do :; done'], { stdio: 'ignore' })
    t.teardown(() => end(child, 'SIGKILL'))
    const pid = child.pid ?? 0
    const path = `${folder}/${pid}.json`
    const publish = (exits: number, io: number) => {
      const vcpus = [{ id: 0, tid: pid, counts: { exits, io_exits: io, made_up: 7 } }]
      writeFileSync(`${path}.new`, JSON.stringify({ name, pid, vcpus }))
      renameSync(`${path}.new`, path)
    }
    return { pid, path, publish }
  }

  const { pid, path, publish } = vmm('published')
  publish(1000, 5)
  await until('it is found', async () => (await mount.sh('ls vms')).stdout === 'published')
  const handle = await openRequest(mount, { type: 'kvm', config: 'exits', pid })
  t.equal((await mount.sh('cat vms/published/source vms/published/vcpu0/tid')).stdout, `file\n${pid}`)
  t.equal((await mount.sh('ls sys/devices/kvm/events')).stdout, 'exits\nio_exits\nmade_up')
  publish(13_345, 5)
  t.equal(await countOf(mount, handle), 12_345)

  const lines = await perfStat(
    mount,
    ['-e', 'kvm/exits/,kvm/io_exits/,kvm/made_up/', '-t', String(pid)],
    async () => {
      publish(23_345, 105)
      const before = timeOnCpu(pid)
      await until('it runs', () => timeOnCpu(pid) !== before)
    },
  )
  t.equal(printed(lines, 'kvm/exits/'), 10_000)
  t.equal(printed(lines, 'kvm/io_exits/'), 100)
  t.equal(printed(lines, 'kvm/made_up/'), 0)
  t.equal(await countOf(mount, handle), 22_345)

  const second = vmm('second')
  second.publish(5, 0)
  const of = await openRequest(mount, { type: 'kvm', config: 'exits', pid: second.pid })
  second.publish(12, 0)
  t.equal(await countOf(mount, of), 7, 'a thread that is not known yet is looked for')

  rmSync(path)
  await until('the guest is gone', async () => (await mount.sh('ls vms')).stdout === 'second')
  t.equal((await mount.sh(`cat ${handle}/state ${handle}/count`)).stdout, 'exit\n22345')
})
