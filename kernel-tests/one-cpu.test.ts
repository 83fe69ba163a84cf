/** A vCPU's thread on one CPU: counts and times are those of the kernel's own event that is opened so. */
import { availableParallelism } from 'node:os'
import { execa } from 'execa'
import t from 'tap'
import { threadStat } from '../src/os/proc-stat.js'
import { tracepointCounters, withKvmFormats } from '../src/os/tracepoints.js'
import { parseFormat } from '../src/sources/tracepoint/catalogue.js'
import { closeHandles, openRequest, vcpusFound } from './support/handles.js'
import { microVmm } from './support/micro-vmm.js'
import { mounted } from './support/mounted.js'
import { needs } from './support/needs.js'

const io = { type: 'kvm', config: 'userspace_exit_io' }

const needed = availableParallelism() > 1 ? needs('root', 'fuse', 'kvm', 'gcc') : { skip: 'needs two CPUs' }

t.test('a thread on one CPU', needed, async t => {
  const vmm = await microVmm(t)
  const tid = vmm.tids[0] ?? 0
  const mount = await mounted(t, '--source', 'auto')
  await vcpusFound(mount, vmm.process.pid)
  const pin = (cpu: number) => execa('taskset', ['-pc', String(cpu), String(tid)])
  const read = async (path: string, file: string) => Number((await mount.sh(`cat ${path}/${file}`)).stdout)

  await t.test('each event counts what happens there, and has the times of the kernel', async t => {
    const startTime = threadStat(tid)?.startTime ?? 0n
    const id = withKvmFormats(read => parseFormat(read('kvm_userspace_exit') ?? '')?.id ?? 0)
    await pin(0)
    const events = ['userspace_exit_io', 'trace_kvm_userspace_exit']
    const counts = async (paths: readonly string[]) => Promise.all(paths.map(path => read(path, 'count')))
    const open = async (cpu: number) => {
      const paths: string[] = []
      for (const event of events)
        paths.push(await openRequest(mount, { type: 'kvm', config: event, pid: tid, cpu }))
      const fd = tracepointCounters.open({ id }, { tid, startTime }, cpu)
      t.teardown(() => tracepointCounters.close(fd))
      return { paths, fd }
    }
    const [first, second, all] = [await open(0), await open(1), await open(-1)]
    const before = Number(tracepointCounters.read(first.fd))
    t.strictSame(await counts([...first.paths, ...second.paths]), [0, 0, 0, 0])
    await vmm.burst('port', 0, 4000)
    await pin(1)
    await vmm.burst('port', 0, 7000)
    await pin(0)
    await vmm.burst('port', 0, 500)
    const kernels = [first, second].map(({ fd }) => Number(tracepointCounters.read(fd)))
    const [onFirst = 0, onSecond = 0] = kernels
    t.comment(`the kernel: ${kernels.join(', ')}, ${before} before`)
    t.strictSame(await counts(first.paths), [4500, onFirst])
    t.strictSame(await counts(second.paths), [7000, onSecond])
    t.strictSame(await counts(all.paths), [11_500, onFirst + onSecond])
    for (const { paths, fd } of [first, second]) {
      const { enabled, running } = tracepointCounters.times(fd)
      const share = Number(running) / Number(enabled)
      for (const path of paths) {
        const own = (await read(path, 'time_running')) / (await read(path, 'time_enabled'))
        t.ok(Math.abs(own - share) < 0.05, `${own} of the time there, ${share} by the kernel`)
      }
    }
    await closeHandles(mount, [...first.paths, ...second.paths, ...all.paths])
  })

  await t.test('which stays on its CPU has run for exactly as long as it was enabled', async t => {
    await pin(1)
    const path = await openRequest(mount, { ...io, pid: tid, cpu: 1 })
    for (const _round of [1, 2]) {
      await vmm.burst('port', 0, 1000)
      await mount.sh(`echo 0 > ${path}/enable`)
      t.equal(await read(path, 'time_running'), await read(path, 'time_enabled'))
      await vmm.burst('port', 0, 10)
      await mount.sh(`echo 1 > ${path}/enable`)
    }
    t.equal(await read(path, 'count'), 2000)
    await closeHandles(mount, [path])
  })

  await t.test('is refused for an event that statistics count, and for threads of no vCPU', async t => {
    await t.rejects(openRequest(mount, { ...io, config: 'exits', pid: tid, cpu: 0 }), {
      message: /cannot be followed/,
    })
    const main = vmm.process.pid ?? 0
    await t.rejects(openRequest(mount, { ...io, pid: main, cpu: 0 }), { message: /cannot be followed/ })
  })
})
