/**
 * Counts of whole VMs from KVM's debugfs, and VMs whose vCPUs cannot be told. Where the kernel is locked down (it lets root
 * read none of the counts) the same VM is refused, and never has a 0.
 */
import { writeFileSync } from 'node:fs'
import { execa } from 'execa'
import t from 'tap'
import { debugfsView, readText } from '../src/os/debugfs.js'
import { runExec } from './support/exec.js'
import { ask, vmFound } from './support/handles.js'
import { microVmm } from './support/micro-vmm.js'
import { type Mounted, mounted, pmufs, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { perfStat } from './support/perf.js'

const BURST = 500

/** What KVM counts exactly once for each instruction of a kind, by architecture. */
const exact =
  process.arch === 'arm64'
    ? ({ kind: 'mmio', event: 'mmio_exit_user' } as const)
    : ({ kind: 'port', event: 'io_exits' } as const)

/** A VM's folder in debugfs as a test sees it by itself. */
function folderOf(pid: number | undefined) {
  const view = debugfsView(new Set())
  const names = () => view?.names('').filter(name => name.startsWith(`${pid}-`)) ?? []
  const [folder] = names()
  if (!view || folder === undefined) throw new Error(`process ${pid} has no VM in debugfs`)
  return {
    names,
    path: view.pathOf(folder),
    read: (statistic: string) => {
      const text = view.read(`${folder}/${statistic}`)
      return text === undefined ? undefined : Number(text)
    },
  }
}

const read = async (mount: Mounted, path: string | undefined) =>
  (await mount.sh(`cat ${path}/count ${path}/state`)).stdout

t.test('it is no source where threads have other numbers than in its names', needs('root'), async t => {
  const other = `${t.testdir({ pid: '' })}/pid`
  t.equal(debugfsView(new Set(), other), undefined)
})

t.test('readText() reads what has no pread(2)', needs('root'), async t => {
  const fifo = `${t.testdir()}/fifo`
  await execa('mkfifo', [fifo])
  for (const text of ['12\n', '13\n']) {
    const writer = execa('sh', ['-c', `printf '%s' '${text}' > ${fifo}`])
    t.equal(readText(fifo), text)
    await writer
  }
})

t.test('a VM that debugfs alone counts', needs('root', 'fuse', 'kvm', 'gcc', 'perf'), async t => {
  const vmm = await microVmm(t, 2, 'worker-%', 'nostats')
  const { pid } = vmm.process
  const folder = folderOf(pid)
  const mount = await mounted(t, '--source', 'debugfs')
  const request = (config: string) => ({ type: 'kvm_vm', config, pid })
  if (folder.read('exits') === undefined) {
    t.match(mount.log(), `not counting process ${pid}: it has no folder in debugfs whose counts can be read`)
    t.match(await ask(mount, request('exits')), { errno: 'EINVAL' })
    return t.comment('this kernel is locked down: debugfs opens no counts')
  }
  await vmFound(mount, pid)
  const { event, kind } = exact

  await t.test('known numbers of exits are counted exactly', async t => {
    const [known, exits] = [await ask(mount, request(event)), await ask(mount, request('exits'))]
    const before = folder.read('exits') ?? Number.NaN
    t.equal(await read(mount, known.path), '0\nactive')
    await vmm.burst(kind, 0, BURST)
    await vmm.burst(kind, 1, BURST)
    t.equal(await read(mount, known.path), `${2 * BURST}\nactive`)
    const grown = (folder.read('exits') ?? Number.NaN) - before
    t.ok(grown >= 2 * BURST)
    t.equal(await read(mount, exits.path), `${grown}\nactive`)
  })

  await t.test('perf stat counts them through exec', async t => {
    const options = ['-p', String(pid), '-e', `kvm_vm/${event}/`]
    const [line = ''] = await perfStat(mount, options, () => vmm.burst(kind, 1, BURST))
    t.equal(Number(line.split(',')[0]), BURST, line)
  })

  await t.test('a statistic that is cleared counts on', async t => {
    const { path } = await ask(mount, request(event))
    await vmm.burst(kind, 0, 100)
    t.equal(await read(mount, path), '100\nactive')
    writeFileSync(`${folder.path}/${event}`, '0')
    await vmm.burst(kind, 0, 50)
    t.equal(await read(mount, path), '150\nactive')
  })

  await t.test('only what can be read is offered, and what nothing counts is refused', async t => {
    const { stdout } = await mount.sh(`grep -h debugfs vms/*/sources; grep -c . vms/*/events`)
    const [, offered] = /^vm:debugfs (\d+)$/m.exec(stdout) ?? []
    t.equal(stdout.split('\n').at(-1), offered)
    t.ok(Number(offered) > 3)
    t.match(await ask(mount, { type: 'kvm', config: event, pid: vmm.tids[0] }), { errno: 'EINVAL' })
  })

  await t.test('the VM ends though its count is held, and its last count stays', async t => {
    const { path } = await ask(mount, request(event))
    await vmm.burst(kind, 0, BURST)
    t.equal(await read(mount, path), `${BURST}\nactive`)
    vmm.process.kill('SIGKILL')
    await until('the VM has gone', () => folder.names().length === 0)
    await until('the event has ended', async () => (await read(mount, path)) === `${BURST}\nexit`)
  })
})

t.test(
  'a VM whose vCPUs have not run is listed, and they appear',
  needs('root', 'fuse', 'kvm', 'gcc'),
  async t => {
    const vmm = await microVmm(t, 2, 'worker-%', 'nostats')
    const { pid } = vmm.process
    const mount = await mounted(t, '--scan-interval', '50')
    await vmFound(mount, pid)
    t.notMatch(mount.log(), 'demo guest', 'a VM is there')
    const { stdout: vm } = await mount.sh(`grep -lx ${pid} vms/*/pid | cut -d/ -f2`)
    const pending = async () => (await mount.sh(`cat vms/${vm}/pending`)).stdout
    t.equal(await pending(), '0 1')
    const line = new RegExp(`^${vm} +${pid} +kvm +\\S+ +vcpu1 +-$`, 'm')
    await until('`pmufs vms` shows it', async () => {
      const { stdout } = await runExec(mount, `${process.execPath} ${pmufs} vms --mount ${mount.dir}`)
      return line.test(stdout)
    })
    t.match(await ask(mount, { type: 'kvm', config: 'kvm_userspace_exit', pid }), { errno: 'EAGAIN' })
    const isCounted = folderOf(pid).read('exits') !== undefined
    const whole = await ask(mount, { type: 'kvm_vm', config: 'exits', pid })
    t.notOk(!isCounted && whole.path, 'no sum over vCPUs that are not known')

    // A thread is told by what it does, or on x86 by debugfs once it has run.
    let count = 0
    await until('vCPU 0 appears', async () => {
      await vmm.burst(exact.kind, 0, BURST)
      count += BURST
      return (await pending()) === '1'
    })
    t.equal((await mount.sh(`cat vms/${vm}/vcpu0/tid`)).stdout, String(vmm.tids[0]))
    if (isCounted) {
      const [exits] = (await read(mount, whole.path)).split('\n')
      t.ok(Number(exits) >= count, `${exits} exits, ${count} of them known`)
    }
    const own = await ask(mount, { type: 'kvm', config: 'kvm_userspace_exit', pid: vmm.tids[0] })
    await vmm.burst(exact.kind, 0, BURST)
    t.ok(Number((await read(mount, own.path)).split('\n')[0]) >= BURST)
  },
)
