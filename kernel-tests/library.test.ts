/** The library: what a program may bring and do wrong, and that its mount lives and ends with it. */
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { shell, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { fixture, mountpoint, program } from './support/program.js'

const isMounted = (dir: string) => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${dir} `)

const pmu = fixture('broken-pmu')
const source = fixture('broken-source')

/** Opens an event of a PMU on this thread: what `control` answers. */
async function open(dir: string, type: string, config: string, pid = process.pid) {
  const request = JSON.stringify({ type, config, pid })
  const { stdout } = await shell(`exec 3<>control; echo '${request}' >&3 2>/dev/null; cat <&3`, dir)
  return JSON.parse(stdout) as { path?: string; errno?: string; error?: string }
}

t.test(
  'a callback that throws is told and gives EIO, and the server goes on',
  needs('root', 'fuse'),
  async t => {
    const dir = mountpoint(t)
    const { call } = program(t)
    t.same(await call('mount', { dir, pmus: [{ module: pmu }] }), { value: { dir } })

    await t.test('in event_init: the open fails', async t => {
      t.match(await open(dir, 'broken', 'event_init'), { errno: 'EIO', error: /event_init/ })
      t.match((await call('reports')).value, [/PMU "broken": event_init failed: Error: broken on purpose/])
    })

    await t.test('in event_init, where a number is given as by a driver of the kernel', async t => {
      t.match(await open(dir, 'broken', 'gives_a_number'), { errno: 'EIO' })
      t.match((await call('reports')).value, [/gave -22: a Failure or undefined is wanted/])
    })

    await t.test('in add: the event has no count', async t => {
      const { path } = await open(dir, 'broken', 'add')
      const { stdout, stderr } = await shell(`cat ${path}/state ${path}/count`, dir)
      t.equal(stdout, 'error')
      t.match(stderr, /Input\/output error/)
      t.match((await call('reports')).value[0], /PMU "broken": add failed/)
    })

    await t.test('in read: the read fails', async t => {
      const { path } = await open(dir, 'broken', 'read')
      t.match((await shell(`cat ${path}/count`, dir)).stderr, /Input\/output error/)
      t.match((await call('reports')).value[0], /PMU "broken": read failed/)
    })

    await t.test('in del: the event ends', async t => {
      const { path } = await open(dir, 'broken', 'del')
      t.equal((await shell(`rmdir ${path}`, dir)).exitCode, 0)
      t.match((await call('reports')).value, [/PMU "broken": del failed/])
    })

    await t.test('in an attribute: the file is EIO', async t => {
      t.match((await shell('cat sys/devices/broken/unreadable', dir)).stderr, /Input\/output error/)
      t.match((await call('reports')).value, [/broken on purpose in show/])
    })

    const { path } = await open(dir, 'broken', 'fine')
    t.equal((await shell(`cat ${path}/count`, dir)).stdout, '1', 'others are counted')
    t.match(await open(dir, '12345', '0'), { errno: 'ENOENT' }, 'an event of no type is not asked of it')
    t.same((await call('reports')).value, [])
    t.same(await call('unmount'), { value: null })
  },
)

t.test('a source of guests that throws is told, and the server goes on', needs('root', 'fuse'), async t => {
  const cases = [
    { breaksIn: 'guests', vms: '', errno: 'EINVAL', report: /^guests failed: Error: broken on purpose/ },
    { breaksIn: 'open', vms: '', errno: 'EINVAL', report: /^open failed/ },
    {
      breaksIn: 'get_event_count',
      vms: 'own',
      errno: 'EIO',
      report: /^source "broken": get_event_count failed/,
    },
    { breaksIn: 'configure_event', vms: 'own', report: /^source "broken": configure_event failed/ },
  ]
  for (const { breaksIn, vms, errno, report } of cases) {
    const dir = mountpoint(t)
    const { call } = program(t)
    const options = { pid: process.pid, breaksIn }
    await call('mount', { dir, kvm: { sources: [{ module: source, options }] } })
    t.equal((await shell('ls vms', dir)).stdout, vms, breaksIn)
    const opened = await open(dir, 'kvm', 'exits')
    t.equal(opened.errno, errno, breaksIn)
    if (opened.path) t.match((await shell(`cat ${opened.path}/count`, dir)).stderr, /Input\/output error/)
    t.match((await call('reports')).value[0], report, breaksIn)
    t.same(await call('unmount'), { value: null })
  }
})

t.test('a guest of a source comes and goes with its process', needs('root', 'fuse'), async t => {
  const dir = mountpoint(t)
  const { call, process: served } = program(t)
  const options = { pid: served.pid }
  await call('mount', { dir, kvm: { sources: [{ module: source, options }] } })
  t.equal((await shell('cat vms/own/kind vms/own/source', dir)).stdout, 'simulated\nbroken')
  const { path } = await open(dir, 'kvm', 'exits', served.pid)
  t.equal((await shell(`cat ${path}/count ${path}/count`, dir)).stdout, '1\n2')
  t.match(await open(dir, 'kvm', 'exits', 1), { errno: 'EINVAL', error: /not a vCPU/ })
  t.same((await call('reports')).value, [])
})

t.test('guests of the machine are counted besides those of a source', needs('root', 'fuse'), async t => {
  const dir = mountpoint(t)
  const { call, process: served } = program(t)
  const sources = [{ module: source, options: { pid: served.pid } }]
  await call('mount', { dir, kvm: { source: 'demo', sources } })
  t.equal((await shell('ls vms', dir)).stdout, 'demo\nown')
  const demo = Number((await shell('cat vms/demo/pid', dir)).stdout)
  const tid = Number((await shell('cat vms/demo/vcpu0/tid', dir)).stdout)
  for (const thread of [tid, served.pid]) {
    const { path } = await open(dir, 'kvm', 'exits', thread)
    t.match((await shell(`cat ${path}/count`, dir)).stdout, /^\d+$/)
  }
  t.same(await call('unmount'), { value: null })
  await until('the demo guest is gone', async () => (await shell(`kill -0 ${demo}`, '/')).exitCode !== 0)
})

t.test('what cannot be mounted is refused, and leaves nothing behind', needs('root', 'fuse'), async t => {
  const dir = mountpoint(t)
  const { call } = program(t)
  await call('mount', { dir })
  await call('unmount')
  const descriptors = (await call('descriptors')).value
  const cases: readonly [options: object, refusal: { code?: string; message: RegExp }][] = [
    [{ dir: '/nonexistent/folder' }, { code: 'ENOTDIR', message: /not a folder/ }],
    [{ dir, pmus: [{ module: '/nonexistent.js' }] }, { message: /nonexistent/ }],
    [{ dir, pmus: [{ module: 'node:fs' }] }, { message: /default export/ }],
    [{ dir, pmus: [{ module: source, options: {} }] }, { message: /PMU has a name/ }],
    [
      { dir, pmus: [{ module: pmu }, { module: pmu }] },
      { code: 'EEXIST', message: /registered already/ },
    ],
    [
      { dir, pmus: [{ module: pmu, options: { name: 'a/b' } }] },
      { code: 'EINVAL', message: /PMU name "a\/b" is unfit/ },
    ],
    [
      { dir, kvm: { sources: [{ module: pmu }] } },
      { code: 'EINVAL', message: /guests\(\) and open\(\)/ },
    ],
  ]
  for (const [options, refusal] of cases) {
    t.match(await call('mount', options), refusal, String(refusal.message))
    t.notOk(isMounted(dir))
  }
  t.match(await call('uncloneable', { dir, module: pmu }), { code: 'EINVAL', message: /could not be cloned/ })
  t.match(await call('mount', { dir, pmus: [{ module: pmu }] }), { value: { dir } })
  t.match(await call('mount', { dir }), { code: 'EBUSY', message: /served already/ })
  await call('dispose')
  t.notOk(isMounted(dir))
  t.equal((await call('descriptors')).value, descriptors, 'every descriptor is given back')
})

t.test('a mount can be made and taken away again and again', needs('root', 'fuse'), async t => {
  const dir = mountpoint(t)
  const { call } = program(t)
  const cycle = async () => {
    await call('mount', { dir, pmus: [{ module: pmu }], kvm: true })
    t.equal((await shell('ls sys/devices', dir)).stdout, 'broken\nkvm\nkvm_vm\nsystem')
    t.same(await call('unmount'), { value: null })
    t.notOk(isMounted(dir))
    return (await call('descriptors')).value
  }
  const first = await cycle()
  for (let i = 0; i < 3; i++) t.equal(await cycle(), first, 'every descriptor is given back')
})

t.test('its promise settles when the mount is taken away from outside', needs('root', 'fuse'), async t => {
  const dir = mountpoint(t)
  const { call } = program(t)
  await call('mount', { dir, pmus: [{ module: pmu }] })
  t.equal((await shell(`umount ${dir}`, '/')).exitCode, 0)
  t.same(await call('ended'), { value: null })
  t.same(await call('unmount'), { value: null })
})

t.test('a program that ends takes its mount with it', needs('root', 'fuse'), async t => {
  for (const [how, status] of [
    ['exit', 3],
    ['throw', 1],
  ] as const) {
    const dir = mountpoint(t)
    const { call, tell, process: served } = program(t)
    await call('mount', { dir, pmus: [{ module: pmu }] })
    const ended = once(served, 'exit')
    tell(how)
    t.equal((await ended)[0], status, how)
    t.notOk(isMounted(dir))
  }
})

t.test('a callback that never returns is broken off at the end', needs('root', 'fuse'), async t => {
  const dir = mountpoint(t)
  const { call } = program(t)
  const marker = `${t.testdir()}/hangs`
  await call('mount', { dir, pmus: [{ module: pmu, options: { marker } }] })
  const { path } = await open(dir, 'broken', 'hangs')
  const reader = shell(`cat ${path}/count`, dir)
  await until('it is read', () => existsSync(marker))
  t.same(await call('unmount'), { value: null })
  t.not((await reader).exitCode, 0)
  t.notOk(isMounted(dir))
})
