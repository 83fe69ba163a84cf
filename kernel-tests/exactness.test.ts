/**
 * A known number of port writes, counted exactly: by the statistic that this host's KVM keeps exactly for them, which
 * is found out by a first burst and printed.
 */
import t from 'tap'
import { startDemo } from '../src/os/demo-process.js'
import { vcpusFound } from './support/handles.js'
import { mounted, shell } from './support/mounted.js'
import { needs } from './support/needs.js'
import { transports } from './support/transports.js'

const program = new URL('../dist/os/demo-guest/main.js', import.meta.url)
const PROBE = 1000
const BURST = 12_345

for (const transport of transports)
  t.test(`port writes of the demo guest through ${transport}`, needs('root', 'fuse', 'kvm'), async t => {
    const mount = await mounted(t, '--transport', transport, '--source', 'stats')
    const demo = await startDemo({ program })
    t.teardown(() => demo.stop())
    await vcpusFound(mount, demo.ready.pid)
    await demo.request({ op: 'pause' })
    const [first] = demo.ready.vcpus
    if (!first) throw new Error('the demo guest has no vCPU')
    const events = (await mount.sh('ls sys/devices/kvm/events | grep -v "[.]"')).stdout.split('\n')
    await mount.sh(
      events
        .map(
          event =>
            `mkdir handles/${event}; echo '{"type":"kvm","config":"${event}","pid":${first.tid}}' > handles/${event}/attr`,
        )
        .join('\n'),
    )
    const counts = async () => {
      const { stdout } = await shell(
        `cat ${events.map(event => `handles/${event}/count`).join(' ')}`,
        mount.dir,
      )
      return new Map(stdout.split('\n').map((count, i) => [events[i] ?? '', Number(count)]))
    }
    const burst = async (count: number) => {
      const before = await counts()
      await demo.request({ op: 'burst', vcpu: first.id, kind: 'port', count })
      const after = await counts()
      return new Map(events.map(event => [event, (after.get(event) ?? 0) - (before.get(event) ?? 0)]))
    }

    const probe = await burst(PROBE)
    const exact = events.filter(event => probe.get(event) === PROBE)
    t.comment(`exact for port writes on this host: ${exact.join(', ')}`)
    t.ok(exact.length > 0, 'some statistic is exact')
    const moved = await burst(BURST)
    t.ok(
      exact.some(event => moved.get(event) === BURST),
      `${BURST} port writes: ${exact.map(event => `${event} ${moved.get(event)}`).join(', ')}`,
    )
    const still = await burst(0)
    t.ok(
      exact.every(event => still.get(event) === 0),
      'and none when there is none',
    )
  })
