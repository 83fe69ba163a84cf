/** A real QEMU guest, counted through QMP: the counts are its own, vCPU by vCPU. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type Mounted, mounted, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { patience } from './support/patience.js'
import { qemu } from './support/qemu.js'
import { transports } from './support/transports.js'

/** Opens one handle for each thread through `control` and returns their names. */
async function openThroughControl(mount: Mounted, tids: readonly number[], event: string): Promise<string[]> {
  const names: string[] = []
  for (const tid of tids) {
    const { stdout } = await mount.sh(
      `exec 3<>control; echo '{"type":"kvm","config":"${event}","pid":${tid}}' >&3; read -r answer <&3; echo "$answer"`,
    )
    names.push(String(JSON.parse(stdout).handle))
  }
  return names
}

async function openByName(mount: Mounted, tids: readonly number[], event: string): Promise<string[]> {
  const names = tids.map((_, i) => `named${i}`)
  for (const [i, tid] of tids.entries())
    await mount.sh(
      `mkdir handles/named${i}; echo '{"type":"kvm","config":"${event}","pid":${tid}}' > handles/named${i}/attr`,
    )
  return names
}

async function read(mount: Mounted, names: readonly string[]): Promise<number[]> {
  const { stdout } = await mount.sh(names.map(name => `cat handles/${name}/count`).join('; '))
  return stdout.split('\n').map(Number)
}

for (const transport of transports) {
  t.test(`a QEMU guest through ${transport}`, needs('root', 'fuse', 'kvm', 'qemu'), async t => {
    const guest = await qemu(t, { name: 'vm1', vcpus: 2 })
    const mount = await mounted(t, '--transport', transport, '--qmp', guest.socket, '--source', 'qmp')
    const tids = await guest.tids()

    t.test('is found, with its name and threads', async t => {
      t.equal((await mount.sh('ls vms')).stdout, 'vm1')
      t.equal(
        (await mount.sh('cat vms/vm1/vcpu0/tid vms/vm1/vcpu1/tid vms/vm1/pid vms/vm1/source')).stdout,
        [...tids, guest.process.pid, 'qmp'].join('\n'),
      )
    })

    for (const [how, open] of [
      ['control', openThroughControl],
      ['a named handle', openByName],
    ] as const)
      t.test(`counts what its own query-stats says, by ${how}`, async t => {
        await guest.qmp.run('stop')
        const before = await guest.counts('exits')
        const names = await open(mount, tids, 'exits')
        t.strictSame(await read(mount, names), [0, 0], 'a paused guest stands still')
        await guest.qmp.cont()
        await sleep(patience(500))
        await guest.qmp.run('stop')
        const after = await guest.counts('exits')
        const counts = await read(mount, names)
        t.strictSame(
          counts,
          after.map((count, i) => count - (before[i] ?? 0)),
        )
        t.ok(
          counts.some(count => count > 0),
          `something was counted: ${counts.join(' ')}`,
        )
        await mount.sh(names.map(name => `rmdir handles/${name}`).join('; '))
        await guest.qmp.cont()
      })

    t.test('keeps its last counts when it ends', async t => {
      const [name = ''] = await openThroughControl(mount, tids, 'exits')
      await sleep(200)
      const [last = 0] = await read(mount, [name])
      guest.process.kill('SIGKILL')
      await until(
        'the event has ended',
        async () => (await mount.sh(`cat handles/${name}/state`)).stdout === 'exit',
      )
      t.ok((await read(mount, [name]))[0] ?? 0 >= last)
      await until('the VM is gone', async () => (await mount.sh('ls vms')).stdout === '')
    })
  })
}

t.test('guests that do not answer', needs('root', 'fuse', 'kvm', 'qemu'), async t => {
  const good = await qemu(t, { name: 'good' })
  const bad = await qemu(t, { name: 'bad' })
  const mount = await mounted(
    t,
    '--qmp',
    good.socket,
    '--qmp',
    bad.socket,
    '--source',
    'qmp',
    '--fetch-timeout',
    // Long enough for twenty reads of the other guest.
    String(Math.ceil(patience(3000))),
  )
  const open = async (name: string) => {
    const { stdout } = await mount.sh(
      `tid=$(cat vms/${name}/vcpu0/tid); exec 3<>control; echo '{"type":"kvm","config":"exits","pid":'$tid'}' >&3; cat <&3`,
    )
    return `handles/${JSON.parse(stdout).handle}`
  }
  const [goodHandle, badHandle] = [await open('good'), await open('bad')]
  bad.process.kill('SIGSTOP')

  t.test('delay their own readers alone, and no longer than the timeout', async t => {
    const { stdout, stderr } = await mount.sh(
      `cat ${badHandle}/count & for i in $(seq 20); do cat ${goodHandle}/count > /dev/null || echo lost; done; echo first; wait; echo second`,
    )
    t.equal(stdout, 'first\nsecond', 'twenty reads of the other guest are done before the one that waits')
    t.match(stderr, /timed out/i)
  })

  t.test('can be interrupted, closed, and counted again once they answer', async t => {
    const { exitCode } = await mount.sh(`timeout -s INT 0.2 cat ${badHandle}/count`)
    t.equal(exitCode, 124, 'a signal ends the wait')
    const told = await mount.sh(`sleep 0.2 & echo 1 > ${badHandle}/reset`)
    t.match(told.stderr, /timed out/i, "a child's end does not")
    bad.process.kill('SIGCONT')
    await until('it counts again', async () => (await mount.sh(`cat ${badHandle}/count`)).exitCode === 0)
    t.equal((await mount.sh(`rmdir ${badHandle}`)).exitCode, 0)
  })

  t.test('are reported as in use where another holds the socket', async t => {
    const other = await mounted(t, '--qmp', good.socket, '--source', 'qmp')
    await until('it says so', () => /serves one client, and another has it/.test(other.log()))
    t.match(other.log(), new RegExp(good.socket))
  })
})

t.test(
  "a guest's name does nothing to the terminal that shows it",
  needs('root', 'fuse', 'kvm', 'qemu'),
  async t => {
    const guest = await qemu(t, { name: 'web\u001b]0;evil\u0007\u202e' })
    const mount = await mounted(t, '--qmp', guest.socket)
    await until('the guest is named', () => mount.log().includes('web'))
    t.match(mount.log(), /counting web\?\]0;evil\?\?: process/)
    t.ok((await mount.sh('ls vms')).stdout.split('\n').includes(`pid-${guest.process.pid}`))
  },
)
