/** The library's entry: what it exports, by name and by type, without native code until something is mounted. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import * as pmufs from '../src/pmufs.js'

t.test('the entry exports these values and no others', async t => {
  t.strictSame(Object.keys(pmufs).sort(), [
    'ErrnoError',
    'Failure',
    'PERF_EF_START',
    'PERF_EF_UPDATE',
    'PERF_HES_STOPPED',
    'PERF_HES_UPTODATE',
    'PERF_PMU_CAP_NO_EXCLUDE',
    'PERF_PMU_CAP_NO_INTERRUPT',
    'cpuPmu',
    'machinePmu',
    'mount',
    'threadPmu',
  ])
})

t.test('the entry exports the types that its values take and give', async t => {
  // Types are checked when this file is: a Pmu made by hand, one made of counts, and a source of guests.
  const byHand: pmufs.Pmu = {
    name: 'hand',
    task_ctx_nr: 'perf_sw_context',
    capabilities: pmufs.PERF_PMU_CAP_NO_INTERRUPT | pmufs.PERF_PMU_CAP_NO_EXCLUDE,
    attr_groups: [{ name: 'events', attrs: [{ name: 'one', show: () => 'event=0\n' }] }],
    event_init: (event: pmufs.PerfEvent) =>
      event.attr.config === 0n ? undefined : new pmufs.Failure('EINVAL', 'there is one event'),
    add: () => undefined,
    del: () => {},
    start: () => {},
    stop: () => {},
    read: event => {
      event.count += 1n
    },
  }
  const made: pmufs.CountingPmu<pmufs.Thread> = {
    name: 'made',
    events: [{ name: 'one', unit: 'Bytes', scale: '2', count: ({ tid }) => BigInt(tid) }],
  }
  const guest: pmufs.OwnGuest = { name: 'vm1', pid: 1, vcpus: [{ id: 0, tid: 2 }] }
  const counts: pmufs.OwnCounts = { name: 'own', events: [{ name: 'exits' }], get_event_count: () => 1n }
  const source: pmufs.GuestSource = { guests: () => [guest], open: () => counts }
  const modules: readonly pmufs.OwnModule[] = [{ module: new URL('file:///x.js'), options: { at: 1 } }]
  const kvm: pmufs.KvmOptions = { sources: modules, source: 'auto', qmp: [], fetchTimeout: 1, strict: true }
  const options: pmufs.MountOptions = {
    dir: 'mnt',
    pmus: modules,
    kvm,
    allowOther: true,
    maxHandles: 1,
    onReport: () => {},
  }
  const mount: (options: pmufs.MountOptions) => Promise<pmufs.Mounted> = pmufs.mount
  t.equal(byHand.event_init({ attr: { config: 1n } } as pmufs.PerfEvent)?.code, 'EINVAL')
  t.equal(pmufs.threadPmu(made).name, 'made')
  t.equal(source.guests().length, 1)
  t.equal(options.pmus, modules)
  t.type(mount, 'function')
})

t.test('package.json names the entry, its types and the files that are published', async t => {
  const { exports, files } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  t.strictSame(exports['.'], { types: './dist/pmufs.d.ts', default: './dist/pmufs.js' })
  t.strictSame(files.includes('dist'), true)
})

t.test('the README shows an example as it is', async t => {
  const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
  const [, section = ''] = read('README.md').split('\n## A PMU of your own\n')
  const shown = /```ts\n(.*?)```/s.exec(section)?.[1] ?? 'nothing'
  t.ok(read('examples/thread-io.ts').endsWith(shown))
})
