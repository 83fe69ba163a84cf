/** Guests of several VMMs that come, change and go: found by what the kernel shows of them, without a look at the clock. */
import t from 'tap'
import { openHandle, vmOf } from './support/handles.js'
import { microVmm } from './support/micro-vmm.js'
import { end, type Mounted, mounted, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { qemu } from './support/qemu.js'

const hasMicroVmm =
  process.arch === 'x64' ? needs('root', 'fuse', 'kvm', 'gcc') : { skip: "the guest's code is x86's" }
/** No look happens by itself within the test. */
const noLooks = ['--scan-interval', '3600000']

/** The threads of a VM's vCPUs as vms/ shows them; none while it is not there. */
async function tidsOf(mount: Mounted, pid: number | undefined): Promise<number[]> {
  const vm = await vmOf(mount, pid)
  if (vm === '') return []
  const { stdout } = await mount.sh(`cat vms/${vm}/vcpu*/tid`)
  return (stdout.match(/\d+/g) ?? []).map(Number)
}

/** Waits until the vCPUs of a process are listed with just these threads, in the order of their numbers. */
const listed = (mount: Mounted, pid: number | undefined, tids: readonly number[]) =>
  until(`process ${pid} is listed with threads ${tids.join()}`, async () => {
    const found = await tidsOf(mount, pid)
    return found.length === tids.length && found.every((tid, vcpu) => tid === tids[vcpu])
  })

t.test('a VM is listed when KVM tells of it, and gone when it or its process is', hasMicroVmm, async t => {
  const mount = await mounted(t, '--source', 'stats', ...noLooks)
  const vmm = await microVmm(t, 2)
  const { pid } = vmm.process
  await listed(mount, pid, vmm.tids)
  const handle = await openHandle(mount, 'exits', vmm.tids[0] ?? 0)
  await end(vmm.process, 'SIGKILL')
  await until('it is gone', async () => (await vmOf(mount, pid)) === '')
  t.equal((await mount.sh(`cat ${handle}/state`)).stdout, 'exit')
  const next = await microVmm(t)
  await listed(mount, next.process.pid, next.tids)
  t.pass('and so is one that comes after it')
})

/** How VMMs name the threads of their vCPUs: QEMU, Firecracker, cloud-hypervisor, crosvm, kvmtool. */
const threadNames = ['CPU %/KVM', 'fc_vcpu %', 'vcpu%', 'crosvm_vcpu%', 'kvm-vcpu-%']

t.test('vCPUs that have never run are told by the names of their threads', hasMicroVmm, async t => {
  const vmms = []
  for (const threadName of threadNames) vmms.push(await microVmm(t, 2, threadName))
  const mount = await mounted(t, '--source', 'tracepoint', ...noLooks)
  for (const [i, { process, tids }] of vmms.entries())
    t.strictSame(await tidsOf(mount, process.pid), tids, String(threadNames[i]))
})

t.test(
  'vCPUs whose threads have other names are told by debugfs once they have run',
  hasMicroVmm,
  async t => {
    const vmm = await microVmm(t, 2, 'worker%')
    const { pid } = vmm.process
    const mount = await mounted(t, '--source', 'stats', ...noLooks)
    t.strictSame(await tidsOf(mount, pid), [])
    t.match(mount.log(), /which thread runs it cannot be told yet/)
    for (const vcpu of vmm.tids.keys()) await vmm.burst('port', vcpu, 10)
    // To open an event on a thread that is not known is to have it looked for. Its name is known once a VM is.
    const handle = await openHandle(mount, 'event=0x00', vmm.tids[1] ?? 0)
    t.strictSame(await tidsOf(mount, pid), vmm.tids)
    t.equal((await mount.sh(`cat ${handle}/count`)).stdout, '0')
  },
)

/** A place for a vCPU, with the path of the one that is in it. */
interface Slot {
  readonly type: string
  readonly props: object
  readonly 'qom-path'?: string
}

for (const source of ['qmp', 'tracepoint'] as const)
  t.test(
    `a vCPU that is plugged into QEMU is counted by ${source}`,
    needs('root', 'fuse', 'kvm', 'qemu'),
    async t => {
      const guest = await qemu(t, { name: 'plug', args: ['-smp', '1,maxcpus=2'] })
      const { pid } = guest.process
      const mount = await mounted(t, '--source', source, ...(source === 'qmp' ? ['--qmp', guest.socket] : []))
      await listed(mount, pid, await guest.tids())
      const slots = await guest.qmp.run<Slot[]>('query-hotpluggable-cpus')
      const slot = slots.find(each => each['qom-path'] === undefined)
      await guest.qmp.run('device_add', { driver: slot?.type, id: 'second', ...slot?.props })
      const tids = await guest.tids()
      t.equal(tids.length, 2)
      await listed(mount, pid, tids)
      const handle = await openHandle(
        mount,
        source === 'qmp' ? 'exits' : 'trace_kvm_userspace_exit',
        tids[1] ?? 0,
      )
      t.equal((await mount.sh(`cat ${handle}/state`)).stdout, 'active')
      t.match((await mount.sh(`cat ${handle}/count`)).stdout, /^\d+$/)
    },
  )
