/**
 * The PMU `kvm_vm` on real guests: in a window at whose ends the guest stands still, the whole VM's count is the sum of
 * its vCPUs' and what KVM's own statistics say, whichever source it comes from and whoever opens it.
 */
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { debugfsView } from '../src/os/debugfs.js'
import { kvmKind } from '../src/os/tracepoints.js'
import { execOn, plainNode } from './support/exec.js'
import { openRequest, vmFound } from './support/handles.js'
import { microVmm } from './support/micro-vmm.js'
import { type Mounted, mounted, shell, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { patience } from './support/patience.js'
import { perfStat } from './support/perf.js'
import { qemu } from './support/qemu.js'
import { sumOfStatistics } from './support/statistics.js'

const BURST = 5000

async function read(mount: Mounted, paths: readonly string[]): Promise<number[]> {
  const { stdout } = await mount.sh(`cat ${paths.map(path => `${path}/count`).join(' ')}`)
  return stdout.split('\n').map(Number)
}

/** Whether KVM keeps page tables of its own for a guest: with NPT and EPT none of these statistics need move. */
const isShadowed = kvmKind() === 'other-x86'
const isAboveZero = (count: number): boolean => count > 0

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)

/** What debugfs shows of a VM, where it can be read. */
function debugfsOf(pid: number | undefined) {
  const view = debugfsView(new Set())
  const folder = view?.names('').find(name => name.startsWith(`${pid}-`))
  if (!view || folder === undefined) throw new Error(`process ${pid} has no VM in debugfs`)
  return (statistic: string) => {
    const text = view.read(`${folder}/${statistic}`)
    return text === undefined ? undefined : Number(text)
  }
}

/** The designated CPU of the PMU. */
const cpuOf = async (mount: Mounted) => Number((await mount.sh('cat sys/devices/kvm_vm/cpumask')).stdout)

t.test('four busy vCPUs', needs('root', 'fuse', 'kvm', 'gcc'), async t => {
  const vmm = await microVmm(t, 4)
  const pid = vmm.process.pid ?? -1
  const mount = await mounted(t, '--source', 'stats')
  await vmFound(mount, pid)
  const truth = (statistic: string) => sumOfStatistics(pid, statistic)
  const cpu = await cpuOf(mount)
  const onCpu = { type: 'kvm_vm', pid: -1, cpu }

  t.test('a statistic of the VM itself is what KVM keeps', async t => {
    const names = ['remote_tlb_flush', 'remote_tlb_flush_requests', 'mmu_shadow_zapped', 'mmu_cache_miss']
    const before = names.map(truth)
    const paths: string[] = []
    for (const config of names) paths.push(await openRequest(mount, { ...onCpu, config, config1: pid }))
    for (const vcpu of vmm.tids.keys()) await vmm.burst('mmio', vcpu, BURST)
    const grown = names.map((name, i) => truth(name) - (before[i] ?? Number.NaN))
    t.comment(names.map((name, i) => `${name} ${grown[i]}`).join(', '))
    t.strictSame(await read(mount, paths), grown)
    if (isShadowed) t.ok(grown.some(isAboveZero), 'the first accesses have filled its page tables')
  })

  t.test('the sum over the vCPUs is the count of the VM, exactly', async t => {
    for (const event of ['exits', 'insn_emulation', 'halt_exits']) {
      const parts: string[] = []
      for (const tid of vmm.tids)
        parts.push(await openRequest(mount, { type: 'kvm', config: event, pid: tid }))
      const wholes = [
        await openRequest(mount, { ...onCpu, config: `${event},vm=${pid}` }),
        await openRequest(mount, { type: 'kvm_vm', config: event, pid }),
        await openRequest(mount, { type: 'kvm_vm', config: `${event},vm=${pid}`, pid }),
      ]
      const others: string[] = []
      for (const tid of vmm.tids)
        others.push(await openRequest(mount, { type: 'kvm_vm', config: event, pid: tid }))
      const before = truth(event)
      await Promise.all(['port', 'mmio', 'halt'].map((kind, i) => vmm.burst(kind, i, BURST + i)))
      for (const vcpu of vmm.tids.keys()) await vmm.burst('halt', vcpu, BURST + vcpu)
      const grown = truth(event) - before
      const counts = await read(mount, parts)
      t.comment(`${event}: ${counts.join(' + ')} = ${grown}`)
      t.ok(
        counts.every(count => count >= BURST),
        'every vCPU has counted',
      )
      t.equal(sum(counts), grown)
      t.strictSame(await read(mount, wholes), [grown, grown, grown])
      t.strictSame(await read(mount, others), [0, 0, 0, 0], 'the other threads count 0')
    }
  })

  t.test('debugfs shows the same', async t => {
    const debugfs = debugfsOf(pid)
    t.equal(debugfs('pages_4k'), truth('pages_4k'), 'an instant, which any kernel lets root read')
    const names = ['exits', 'insn_emulation', 'remote_tlb_flush_requests']
    if (debugfs('exits') === undefined)
      return t.comment('this kernel is locked down: debugfs opens no counts')
    t.strictSame(names.map(debugfs), names.map(truth))
  })

  t.test('times are those of the CPU; a count of other CPUs, or of no VM, is refused', async t => {
    const path = await openRequest(mount, { ...onCpu, config: `exits,vm=${pid}` })
    await sleep(100)
    const { stdout } = await mount.sh(`cat ${path}/time_enabled ${path}/time_running`)
    for (const time of stdout.split('\n').map(Number)) t.ok(time >= 100_000_000, `${time} ns`)
    const refused = (request: object, why: RegExp) =>
      t.rejects(openRequest(mount, { ...onCpu, config: `exits,vm=${pid}`, ...request }), { message: why })
    await refused({ cpu: availableParallelism() }, /out of range|cpumask/)
    await refused({ config: 'exits' }, /vm is missing/)
    await refused({ config: 'exits,vm=1' }, /process 1 runs no VM/)
    await refused({ config: 'exits,vm=1', pid, cpu: -1 }, /belongs to process/)
    await refused({ config: `halt_wait_hist,vm=${pid}` }, /bucket/)
  })

  t.test('a killed VMM leaves its last count, and its events end', async t => {
    const requests = [
      { ...onCpu, config: `insn_emulation,vm=${pid}` },
      { type: 'kvm_vm', config: 'insn_emulation', pid },
      { ...onCpu, config: `remote_tlb_flush_requests,vm=${pid}` },
    ]
    const paths: string[] = []
    for (const request of requests) paths.push(await openRequest(mount, request))
    const statistics = ['insn_emulation', 'insn_emulation', 'remote_tlb_flush_requests']
    const before = statistics.map(truth)
    await vmm.burst('port', 3, BURST)
    const last = statistics.map((name, i) => truth(name) - (before[i] ?? Number.NaN))
    vmm.process.kill('SIGKILL')
    await until('the events have ended', async () => {
      const { stdout } = await mount.sh(`cat ${paths.map(path => `${path}/state`).join(' ')}`)
      return stdout === 'exit\nexit\nexit'
    })
    const [onCpuCount, onThreadCount, flushes = Number.NaN] = await read(mount, paths)
    t.strictSame([onCpuCount, onThreadCount], last.slice(0, 2))
    t.ok(flushes >= (last[2] ?? 0), 'ending a VM flushes once more')
  })
})

t.test('a QEMU guest with four vCPUs, counted through QMP', needs('root', 'fuse', 'kvm', 'qemu'), async t => {
  const guest = await qemu(t, { name: 'vm1', vcpus: 4, args: ['-S'] })
  const { pid } = guest.process
  const mount = await mounted(t, '--source', 'qmp', '--qmp', guest.socket)
  const cpu = await cpuOf(mount)
  const names = ['remote_tlb_flush_requests', 'mmu_cache_miss']
  const ownWhole = async () => {
    const [{ stats } = { stats: [] }] = await guest.qmp.run<{ stats: { name: string; value: number }[] }[]>(
      'query-stats',
      { target: 'vm' },
    )
    return names.map(name => stats.find(stat => stat.name === name)?.value ?? Number.NaN)
  }
  const before = await guest.counts('exits')
  const wholeBefore = await ownWhole()
  const parts: string[] = []
  for (const tid of await guest.tids())
    parts.push(await openRequest(mount, { type: 'kvm', config: 'exits', pid: tid }))
  const onCpu = { type: 'kvm_vm', pid: -1, cpu }
  const wholes = [
    await openRequest(mount, { ...onCpu, config: `exits,vm=${pid}` }),
    await openRequest(mount, { type: 'kvm_vm', config: 'exits', pid }),
  ]
  const kept: string[] = []
  for (const name of names) kept.push(await openRequest(mount, { ...onCpu, config: `${name},vm=${pid}` }))
  t.strictSame(await read(mount, [...wholes, ...kept]), [0, 0, 0, 0], 'a paused guest stands still')
  await guest.qmp.cont()
  await sleep(patience(500))
  await guest.qmp.run('stop')

  const after = await guest.counts('exits')
  const own = after.map((count, i) => count - (before[i] ?? Number.NaN))
  t.strictSame(await read(mount, parts), own)
  t.ok(sum(own) > 0, `${own.join(' + ')} = ${sum(own)}`)
  t.strictSame(await read(mount, wholes), [sum(own), sum(own)])
  const grown = (await ownWhole()).map((count, i) => count - (wholeBefore[i] ?? Number.NaN))
  t.comment(names.map((name, i) => `${name} ${grown[i]}`).join(', '))
  t.strictSame(await read(mount, kept), grown)
  if (isShadowed) t.ok(grown.every(isAboveZero), 'a BIOS that starts moves both')
})

t.test('perf under pmufs exec', needs('root', 'fuse', 'kvm', 'gcc', 'perf'), async t => {
  const vmm = await microVmm(t, 4)
  const pid = vmm.process.pid ?? -1
  const mount = await mounted(t, '--source', 'stats')
  await vmFound(mount, pid)

  t.test('list shows the events', async t => {
    const { stdout } = await shell('perf list --no-desc', '/', { SYSFS_PATH: `${mount.dir}/sys` })
    for (const event of ['kvm_vm/exits/', 'kvm_vm/remote_tlb_flush/', 'kvm_vm/halt_wait_hist,bucket=?/'])
      t.match(stdout, event)
  })

  /** Runs perf stat around bursts of every vCPU: what it counted for each event, and what KVM says of `exits`. */
  async function stat(...options: string[]) {
    const before = sumOfStatistics(pid, 'exits')
    const lines = await perfStat(mount, options, async () => {
      for (const vcpu of vmm.tids.keys()) await vmm.burst('port', vcpu, BURST)
    })
    const grown = sumOfStatistics(pid, 'exits') - before
    return { counts: lines.map(line => Number(line.split(',')[0])), grown }
  }

  t.test('stat -a counts the VM once, beside an event of each CPU', async t => {
    const { counts, grown } = await stat('-a', '-e', `kvm_vm/exits,vm=${pid}/`, '-e', 'cpu-clock')
    t.ok(grown >= 4 * BURST)
    t.strictSame(counts, [grown])
  })

  const severalCpus = availableParallelism() > 1 ? {} : { skip: 'needs two CPUs' }
  t.test('stat -C counts the VM on each CPU of the package', severalCpus, async t => {
    const event = ['-e', `kvm_vm/exits,vm=${pid}/`]
    for (const cpus of ['0', '1']) {
      const { counts, grown } = await stat('-C', cpus, ...event)
      t.strictSame(counts, [grown], cpus)
    }
    // What perf takes of both is perf's affair: perf 6.1 adds them up.
    const { counts, grown } = await stat('-C', '0,1', ...event)
    t.ok([grown, 2 * grown].includes(counts[0] ?? 0), `${counts[0]} of ${grown}: one or both`)
  })

  t.test('stat -p counts the VM once, and as much as its vCPUs', async t => {
    const { counts, grown } = await stat('-p', String(pid), '-e', 'kvm_vm/exits/', '-e', 'kvm/exits/')
    t.strictSame(counts, [grown, grown])
  })

  t.test('stat counts the buckets of a histogram, which must be given', async t => {
    const { counts } = await stat('-a', '-e', `kvm_vm/halt_wait_hist,bucket=31,vm=${pid}/`)
    t.strictSame(counts, [0], 'nobody has waited for seconds')
    const { exitCode } = await shell(
      `${execOn(mount)} perf stat -a -e kvm_vm/halt_wait_hist,vm=${pid}/ true`,
      '/',
      plainNode,
    )
    t.not(exitCode, 0)
  })
})
