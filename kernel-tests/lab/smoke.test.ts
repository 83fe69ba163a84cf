/**
 * What a stock Debian kernel's KVM does, counted by every source that it has: a C VMM's known numbers of exits, by
 * statistics, tracepoints, exit reasons and debugfs, for vCPUs and whole VMs, through control and through perf.
 */
import { release } from 'node:os'
import t from 'tap'
import { runExec } from '../support/exec.js'
import {
  closeHandles,
  openHandle,
  openHandles,
  readCounts,
  vcpusFound,
  vmFound,
  vmOf,
} from '../support/handles.js'
import { microVmm } from '../support/micro-vmm.js'
import { type Mounted, mounted, until } from '../support/mounted.js'
import { perfStat } from '../support/perf.js'

const N = 1000

/** What is exactly as many as the instructions of a kind, by source; a KVM on SVM and one on arm64. */
interface Exact {
  readonly stats: readonly string[]
  readonly tracepoint: readonly string[]
}

const x86: Readonly<Record<string, Exact>> = {
  port: { stats: ['io_exits'], tracepoint: ['trace_kvm_pio', 'userspace_exit_io', 'exit_io'] },
  mmio: {
    stats: ['mmio_exits', 'insn_emulation'],
    tracepoint: ['trace_kvm_mmio', 'userspace_exit_mmio', 'exit_npf', 'trace_kvm_page_fault'],
  },
  halt: { stats: ['halt_exits'], tracepoint: ['userspace_exit_hlt', 'exit_hlt'] },
}

const arm64: Readonly<Record<string, Exact>> = {
  mmio: {
    stats: ['mmio_exit_user'],
    tracepoint: ['trace_kvm_mmio', 'userspace_exit_mmio', 'exit_dabt_low', 'trace_kvm_guest_fault'],
  },
  hypercall: { stats: ['hvc_exit_stat'], tracepoint: ['exit_hvc64'] },
}

const exact = process.arch === 'x64' ? x86 : arm64
const [firstKind = '', first = { stats: [], tracepoint: [] }] = Object.entries(exact)[0] ?? []

const sourceOf = async (mount: Mounted, pid: number | undefined, event: string) =>
  (await mount.sh(`sed -n 's/^${event} \\([^ ]*\\) .*/\\1/p' vms/${await vmOf(mount, pid)}/events`)).stdout

t.test('known numbers of exits', async t => {
  t.comment(`Linux ${release()}, ${process.arch}`)
  const vmm = await microVmm(t, 2)
  const { pid } = vmm.process
  const [tid = 0, other = 0] = vmm.tids
  const mount = await mounted(t)
  await vcpusFound(mount, pid)

  for (const [kind, { stats, tracepoint }] of Object.entries(exact))
    await t.test(`of ${kind} are counted exactly, by statistics, tracepoints and reasons`, async t => {
      const events = [...stats, ...tracepoint]
      for (const event of stats) t.equal(await sourceOf(mount, pid, event), 'stats', event)
      for (const event of tracepoint) t.equal(await sourceOf(mount, pid, event), 'tracepoint', event)
      // The first of a kind also faults in its page of code.
      await vmm.burst(kind, 0, 1)
      const handles = await openHandles(mount, events, tid)
      const ofOther = await openHandle(mount, stats[0] ?? '', other)
      await vmm.burst(kind, 0, N)
      t.same(await readCounts(mount, handles), Object.fromEntries(events.map(event => [event, N])))
      t.equal((await mount.sh(`cat ${ofOther}/count`)).stdout, '0', "none of them is the other vCPU's")
      await closeHandles(mount, [...handles.values(), ofOther])
    })

  await t.test('leave the guest as often as its exits say, host interrupts included', async t => {
    const handles = await openHandles(mount, ['exits', 'trace_kvm_exit'], tid)
    await vmm.burst(firstKind, 0, N)
    const { exits = 0, trace_kvm_exit } = await readCounts(mount, handles)
    t.equal(trace_kvm_exit, exits)
    t.ok(exits >= N, `${exits}`)
    await closeHandles(mount, handles.values())
  })

  await t.test("are what perf stat prints, beside the kernel's own tracepoint", async t => {
    const [event] = first.stats
    const [tracepoint, reason] = first.tracepoint
    const events = [event, tracepoint, reason, 'trace_kvm_exit'].map(name => `kvm/${name}/`)
    const lines = await perfStat(
      mount,
      ['-t', String(tid), '-e', `${events.join()},kvm:kvm_exit`],
      () => vmm.burst(firstKind, 0, N),
      /,kvm[/:]/,
    )
    const counts = lines.map(line => Number(line.split(',')[0]))
    t.strictSame(counts.slice(0, 3), [N, N, N], lines.join('\n'))
    t.equal(counts[3], counts[4], 'kvm/trace_kvm_exit/ and kvm:kvm_exit')
    t.ok((counts[4] ?? 0) >= N)
  })

  await t.test('are those of the whole VM too, by its process and system-wide', async t => {
    const [event] = first.stats
    const [tracepoint] = first.tracepoint
    const window = async () => {
      for (const vcpu of vmm.tids.keys()) await vmm.burst(firstKind, vcpu, N + vcpu)
    }
    const ofProcess = `kvm_vm/${event}/,kvm_vm/${tracepoint}/,kvm/${event}/`
    const byProcess = await perfStat(mount, ['-p', String(pid), '-e', ofProcess], window)
    const sum = String(2 * N + 1)
    t.strictSame(
      byProcess.map(line => line.split(',')[0]),
      [sum, sum, sum],
      byProcess.join('\n'),
    )
    const systemWide = await perfStat(mount, ['-a', '-e', `kvm_vm/${event},vm=${pid}/`], window)
    t.match(systemWide, [new RegExp(`^${sum},`)])
  })
})

t.test('a VMM that holds no statistics is counted by debugfs as a whole, and by tracepoints', async t => {
  const vmm = await microVmm(t, 2, 'vcpu%', 'nostats')
  const { pid } = vmm.process
  const mount = await mounted(t)
  await vmFound(mount, pid)
  const [event = ''] = first.stats
  t.equal(await sourceOf(mount, pid, event), 'debugfs')
  const lines = await perfStat(mount, ['-p', String(pid), '-e', `kvm_vm/${event}/`], async () => {
    for (const vcpu of vmm.tids.keys()) await vmm.burst(firstKind, vcpu, N)
  })
  t.match(lines, [new RegExp(`^${2 * N},`)])
  const [tracepoint = ''] = first.tracepoint
  const handle = await openHandle(mount, tracepoint, vmm.tids[1] ?? 0)
  await vmm.burst(firstKind, 1, N)
  t.equal((await mount.sh(`cat ${handle}/count`)).stdout, String(N))
})

t.test('the demo guest is a KVM guest here, and counted', async t => {
  const mount = await mounted(t, '--source', 'demo')
  t.equal((await mount.sh('cat vms/demo/kind')).stdout, 'kvm')
  const { stdout: tids } = await mount.sh('cat vms/demo/vcpu*/tid')
  for (const tid of tids.split('\n')) {
    const handle = await openHandle(mount, 'exits', Number(tid))
    await until('it moves', async () => Number((await mount.sh(`cat ${handle}/count`)).stdout) > 0)
  }
  const { stdout } = await runExec(
    mount,
    '$EXEC perf stat -x, -e kvm/exits/ -p $(cat $MNT/vms/demo/pid) sleep 1 2>&1',
  )
  t.match(stdout, /^[1-9]\d*,,kvm\/exits\//m)
})
