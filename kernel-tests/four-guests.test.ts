/**
 * Four guests of three VMMs at once, each in a trouble of its own: the QMP socket of one hangs, one is paused, one is
 * killed while it is counted, one starts when the mount is there. What befalls one changes no other's counts.
 */
import t from 'tap'
import { startDemo } from '../src/os/demo-process.js'
import { kvmKind } from '../src/os/tracepoints.js'
import { openHandle, openHandles, readCounts, vcpusFound } from './support/handles.js'
import { microVmm } from './support/micro-vmm.js'
import { mounted, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { patience } from './support/patience.js'
import { OTHER_INSTRUCTIONS, portWriter } from './support/port-writer.js'
import { qemu } from './support/qemu.js'
import { scaled } from './support/scale.js'
import { socketProxy } from './support/socket-proxy.js'

const WRITES = scaled(200_000)
const BURST = scaled(50_000)
const isX86 = process.arch === 'x64'
const isEmulated = isX86 && kvmKind() === 'other-x86'
/** The statistic that counts port writes, and the tracepoint. */
const statistic = isEmulated ? 'insn_emulation' : 'io_exits'
const both = [statistic, 'kvm_pio'] as const
const options = isX86 ? needs('root', 'fuse', 'kvm', 'qemu', 'gcc') : { skip: "the guests' code is x86's" }

t.test('four guests at once', options, async t => {
  const writer = portWriter(t, WRITES)
  const hung = await qemu(t, { name: 'hung', args: writer.args })
  const paused = await qemu(t, { name: 'paused', vcpus: 2, args: ['-S'] })
  const killed = await startDemo({ program: new URL('../dist/os/demo-guest/main.js', import.meta.url) })
  t.teardown(() => killed.stop())
  await killed.request({ op: 'pause' })
  const proxy = await socketProxy(t, hung.socket)
  const fetchTimeout = String(Math.ceil(patience(2000)))
  const mount = await mounted(t, '--qmp', proxy.path, '--qmp', paused.socket, '--fetch-timeout', fetchTimeout)
  const late = await microVmm(t, 2)
  for (const pid of [hung.process.pid, paused.process.pid, killed.ready.pid, late.process.pid])
    await vcpusFound(mount, pid)

  const ownOf = async (guest: typeof hung, event: string) => guest.counts(event)
  const before = { hung: await ownOf(hung, statistic), paused: await ownOf(paused, 'exits') }
  const ofHung = await openHandles(mount, both, (await hung.tids())[0] ?? 0)
  const ofPaused: string[] = []
  for (const tid of await paused.tids()) ofPaused.push(await openHandle(mount, 'exits', tid))
  const ofKilled = await openHandles(mount, both, killed.ready.vcpus[0]?.tid ?? 0)
  const ofLate: Map<string, string>[] = []
  for (const tid of late.tids) ofLate.push(await openHandles(mount, both, tid))
  const count = async (path: string) => Number((await mount.sh(`cat ${path}/count`)).stdout)

  proxy.hang()
  await Promise.all([hung.qmp.cont(), paused.qmp.cont()])

  await t.test(
    'one is killed while it is counted: its last value and times stay, its events have ended',
    async t => {
      await killed.request({ op: 'burst', vcpu: 0, kind: 'port', count: BURST })
      const last = killed.request({ op: 'burst', vcpu: 0, kind: 'port', count: 100 * BURST })
      const ended = t.rejects(last)
      const path = ofKilled.get('kvm_pio') ?? ''
      await until('it is in the midst of it', async () => (await count(path)) > BURST + 1000)
      process.kill(killed.ready.pid, 'SIGKILL')
      await ended
      const files = (name: string) => [...ofKilled.values()].map(handle => `${handle}/${name}`).join(' ')
      await until(
        'they have ended',
        async () => (await mount.sh(`cat ${files('state')}`)).stdout === 'exit\nexit',
      )
      const counts = await readCounts(mount, ofKilled)
      t.ok(
        Object.values(counts).every(value => value > BURST + 1000),
        JSON.stringify(counts),
      )
      t.ok(Math.abs((counts[statistic] ?? 0) - (counts.kvm_pio ?? 0)) <= 1, 'the last one may be half done')
      const times = await mount.sh(`cat ${files('time_enabled')} ${files('time_running')}`)
      t.ok(
        times.stdout.split('\n').every(time => Number(time) > 0),
        times.stdout,
      )
      t.same(await readCounts(mount, ofKilled), counts)
      t.equal((await mount.sh(`cat ${files('time_enabled')} ${files('time_running')}`)).stdout, times.stdout)
    },
  )

  await t.test('the one that started later is counted exactly', async t => {
    await Promise.all(late.tids.map((_, vcpu) => late.burst('port', vcpu, BURST + vcpu)))
    for (const [vcpu, handles] of ofLate.entries())
      t.same(await readCounts(mount, handles), { [statistic]: BURST + vcpu, kvm_pio: BURST + vcpu })
  })

  await t.test('the one whose QMP socket hangs is counted exactly by what needs no socket', async t => {
    await until('all is written', () => writer.written() >= WRITES, 60)
    t.equal(await count(ofHung.get('kvm_pio') ?? ''), WRITES)
    const { stderr, exitCode } = await mount.sh(`cat ${ofHung.get(statistic)}/count`)
    t.match(stderr, /timed out/i)
    t.not(exitCode, 0)
  })

  await t.test('the one that is paused stands still at what it says itself', async t => {
    await paused.qmp.run('stop')
    const own = (await ownOf(paused, 'exits')).map((now, vcpu) => now - (before.paused[vcpu] ?? Number.NaN))
    t.ok(own.some(grown => grown > 0))
    for (let look = 0; look < 3; look++) t.strictSame(await Promise.all(ofPaused.map(count)), own)
  })

  await t.test('the socket that answers again gives what was counted all the while', async t => {
    await hung.qmp.run('stop')
    proxy.resume()
    const path = ofHung.get(statistic)
    const reads = async () => (await mount.sh(`cat ${path}/count`)).exitCode === 0
    await until('it can be read', reads)
    const own = ((await ownOf(hung, statistic))[0] ?? Number.NaN) - (before.hung[0] ?? Number.NaN)
    t.equal(await count(path ?? ''), own)
    t.equal(own, WRITES + (isEmulated ? OTHER_INSTRUCTIONS : 0))
    const handles = ofLate.flatMap(each => [...each.values()])
    t.ok((await Promise.all(handles.map(count))).every(value => value >= BURST))
  })
})
