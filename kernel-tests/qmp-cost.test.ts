/** What being queried does to a real QEMU guest, as `pmufs vms` reports it, beside what QEMU itself says. */
import t from 'tap'
import { openHandle } from './support/handles.js'
import { mounted, pmufs, shell } from './support/mounted.js'
import { needs } from './support/needs.js'
import { qemu } from './support/qemu.js'

interface Listed {
  readonly name: string
  readonly cost: readonly {
    readonly source: string
    readonly reads: number
    readonly adds: Record<string, number>
  }[]
}

t.test('the queries of a QEMU guest', needs('root', 'fuse', 'kvm', 'qemu'), async t => {
  const guest = await qemu(t, { name: 'vm1', vcpus: 2 })
  const mount = await mounted(t, '--source', 'qmp', '--qmp', guest.socket)
  const vms = (...options: string[]) =>
    shell([process.execPath, pmufs, 'vms', '--mount', mount.dir, ...options].join(' '), '/', {
      NODE_OPTIONS: '',
    })
  const costNow = async (...options: string[]) => {
    const [vm] = JSON.parse((await vms('--json', ...options)).stdout) as Listed[]
    return vm?.cost[0]
  }

  t.test('are as many as readers ask for, and no more', async t => {
    await guest.qmp.run('stop')
    const before = await guest.counts('signal_exits')
    await guest.qmp.cont()
    t.equal(await costNow(), undefined, 'nobody has read anything')
    t.notMatch((await vms()).stdout, /adds/)
    // Looks for vCPUs go on all the while, and ask no vCPU anything.
    const handle = await openHandle(mount, 'exits', (await guest.tids())[0] ?? 0)
    for (let read = 0; read < 5; read++) await mount.sh(`cat ${handle}/count`)
    t.equal((await costNow())?.reads, 5, 'one as it was opened, and one for each of five reads')
    await guest.qmp.run('stop')
    const after = await guest.counts('signal_exits')
    t.comment(
      `signal_exits of six queries, a stop and a cont: ${after.map((count, i) => count - (before[i] ?? 0)).join()}`,
    )
    await mount.sh(`cat ${handle}/count`)
    const known = await costNow()
    for (let read = 0; read < 5; read++) await mount.sh(`cat ${handle}/count`)
    t.same(await costNow(), known, 'a paused guest is not disturbed')
    t.same(await guest.counts('signal_exits'), after)
    await guest.qmp.cont()
  })

  t.test('are measured on request, to what QEMU says they have added', async t => {
    const before = await guest.counts('signal_exits')
    const cost = await costNow('--cost')
    const after = await guest.counts('signal_exits')
    const each = Math.max(...after.map((count, i) => Math.round((count - (before[i] ?? 0)) / 33)))
    t.match(cost, { source: 'qmp', reads: 32 })
    t.equal(cost?.adds.signal_exits, each || undefined)
    t.match((await vms()).stdout, /^vm1: a read through qmp adds at most .* to a vCPU \(median of 32\)$/m)
    t.comment((await vms()).stdout)
    t.equal((await mount.sh('ls handles')).stdout.split('\n').length, 1, 'its handle is closed')
  })
})
