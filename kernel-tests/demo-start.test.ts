/** A mount whose demo guest is slow, fails, or ends: it can be used all the same, and says what became of the guest. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { mounted, until } from './support/mounted.js'
import { needs } from './support/needs.js'

const slowDemo = fileURLToPath(new URL('fixtures/slow-demo.cjs', import.meta.url))

/** A mount whose demo guest's program waits for a file, or for ever: it inherits its environment from the server. */
async function mountWith(t: Test, wait: string) {
  const { NODE_OPTIONS } = process.env
  process.env.NODE_OPTIONS = `--require=${slowDemo}`
  process.env.SLOW_DEMO = wait
  try {
    return await mounted(t, '--source', 'demo')
  } finally {
    if (NODE_OPTIONS === undefined) delete process.env.NODE_OPTIONS
    else process.env.NODE_OPTIONS = NODE_OPTIONS
    delete process.env.SLOW_DEMO
  }
}

t.test('a mount does not fail because of a demo guest that cannot start', needs('fuse'), async t => {
  const mount = await mountWith(t, 'never')
  t.same((await mount.sh('cat $MNT/sys/bus/event_source/devices/kvm/type; ls $MNT/vms')).stdout, '4096')
  t.match(
    mount.log(),
    /pmufs: cannot count the demo guest: .*the test has it fail; mount again to try once more/,
  )
})

t.test(
  'a demo guest that is late is counted when it is there, and gone when it ends',
  needs('fuse'),
  async t => {
    const go = join(t.testdir(), 'go')
    const mount = await mountWith(t, go)
    t.same((await mount.sh('ls $MNT/vms')).stdout, '', 'the mount can be used without it')
    t.match(mount.log(), /pmufs: the demo guest is not ready after \d+ s.*going on without/)

    writeFileSync(go, '')
    await until('the demo guest', async () => (await mount.sh('ls $MNT/vms')).stdout === 'demo', 60)
    await until('its announcement', () => /pmufs: the demo guest.* is ready/.test(mount.log()))

    const pid = Number((await mount.sh('cat $MNT/vms/demo/pid')).stdout)
    t.match(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), /demo-guest/)
    process.kill(pid, 'SIGKILL')
    await until('its end', async () => (await mount.sh('ls $MNT/vms')).stdout === '', 60)
    await until('the word of its end', () => /pmufs: the demo guest has ended by itself/.test(mount.log()))
  },
)
