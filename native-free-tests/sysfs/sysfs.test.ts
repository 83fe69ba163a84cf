import { readFileSync } from 'node:fs'
import t from 'tap'
import { orThrow } from '../../src/abi/errno.js'
import type { Directory } from '../../src/kernfs/node.js'
import type { Attribute, AttributeGroup } from '../../src/perf/pmu.js'
import { PmuRegistry } from '../../src/perf/registry.js'
import type { HostPmu } from '../../src/sysfs/options.js'
import { sysfs } from '../../src/sysfs/sysfs.js'
import { cat, echo, errnoFrom, find, names, open, owner, pread, root } from '../kernfs/support/open.js'
import { kvm, msr, samplePmu, texts } from './support/sample-pmu.js'
import { treeText } from './support/tree-text.js'

const fixture = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8')

const hosts: HostPmu[] = [
  { name: 'msr', target: '/sys/devices/msr' },
  { name: 'software', target: '/sys/devices/software' },
]

function tree({ hostPmus = () => [] as readonly HostPmu[], firstType = 4096 } = {}) {
  const registry = new PmuRegistry(firstType)
  const top = sysfs({ owner, registry, hostPmus })
  return { registry, top, at: (path: string) => find(top, path), folder: folderOf(top) }
}

const folderOf = (top: Directory) => (path: string) => {
  const node = find(top, path)
  if (node.kind !== 'directory') throw new Error(`${path} is no folder`)
  return node
}

t.test("a PMU's folder is, line for line, what the kernel shows of the same PMU", async t => {
  const { registry, at } = tree({ firstType: 9 })
  registry.register(msr())
  t.equal(treeText(at('devices/msr')), fixture('devices-msr.txt'))
})

t.test('the whole tree of a sample PMU beside two of the kernel', async t => {
  const { registry, top } = tree({ hostPmus: () => hosts })
  registry.register(kvm())
  t.equal(treeText(top), fixture('sys-kvm.txt'))
})

t.test('every relative link leads to a folder of the tree', async t => {
  const { registry, at, folder } = tree({ hostPmus: () => hosts })
  registry.register(kvm())
  const resolve = (link: string): string => {
    const node = at(link)
    if (node.kind !== 'symlink') throw new Error(`${link} is no link`)
    return new URL(node.readlink(), `http://tree/${link}`).pathname.slice(1)
  }
  t.equal(resolve('bus/event_source/devices/kvm'), 'devices/kvm')
  t.equal(resolve('devices/kvm/subsystem'), 'bus/event_source')
  t.ok(folder('devices/kvm') && folder('bus/event_source'))
})

t.test('registering and unregistering change the tree at once', async t => {
  const { registry, folder } = tree()
  const links = folder('bus/event_source/devices')
  const devices = folder('devices')
  const pmu = kvm()
  t.same([names(links), names(devices), devices.attributes().nlink], [[], ['system'], 2])
  registry.register(pmu)
  t.same([names(links), names(devices), devices.attributes().nlink], [['kvm'], ['system', 'kvm'], 3])
  registry.unregister(pmu)
  t.same([names(links), names(devices), devices.attributes().nlink], [[], ['system'], 2])
  t.equal(devices.lookup('kvm', root), undefined)
})

t.test('nodes keep their identity while the PMU is registered, and never return after it', async t => {
  const { registry, at } = tree()
  const paths = ['', '/type', '/power', '/power/control', '/events', '/events/exits', '/threshold'].map(
    path => `devices/kvm${path}`,
  )
  const inos = () => [...paths, 'bus/event_source/devices/kvm'].map(path => at(path).ino)
  const pmu = kvm()
  registry.register(pmu)
  const first = inos()
  t.same(inos(), first)
  registry.unregister(pmu)
  registry.register(pmu)
  t.same(
    inos().filter(ino => first.includes(ino)),
    [],
  )
})

t.test('files that are open when their PMU is unregistered give ENODEV', async t => {
  const { registry, at } = tree()
  const pmu = kvm()
  registry.register(pmu)
  const paths = ['type', 'uevent', 'power/control', 'events/exits', 'format/event', 'identifier']
  const files = paths.map(path => open(at(`devices/kvm/${path}`)))
  for (const file of files) pread(file)
  registry.unregister(pmu)
  registry.register(pmu)
  for (const [i, file] of files.entries())
    t.equal(
      errnoFrom(() => pread(file)),
      'ENODEV',
      paths[i] ?? '',
    )
})

t.test('a group that grows, shrinks and describes itself with fresh objects', async t => {
  let events: Record<string, string> = { exits: 'event=0x00\n' }
  const groups: AttributeGroup[] = [
    {
      name: 'events',
      get attrs(): readonly Attribute[] {
        return texts(events)
      },
    },
  ]
  const { registry, at, folder } = tree()
  registry.register(samplePmu('demo', groups))
  const { ino } = at('devices/demo/events/exits')
  events = { ...events, io_exits: 'event=0x01\n' }
  t.same(names(folder('devices/demo/events')), ['exits', 'io_exits'])
  t.equal(at('devices/demo/events/exits').ino, ino)
  const file = open(at('devices/demo/events/exits'))
  events = { exits: 'event=0x07\n', io_exits: 'event=0x01\n' }
  t.equal(pread(file), 'event=0x07\n', 'the present text is shown')
  events = { io_exits: 'event=0x01\n' }
  t.equal(
    errnoFrom(() => pread(file)),
    'ENODEV',
  )
  t.same(names(folder('devices/demo/events')), ['io_exits'])
  events = { exits: 'event=0x00\n' }
  t.not(at('devices/demo/events/exits').ino, ino)
})

t.test('a group folder that comes and goes', async t => {
  const groups: AttributeGroup[] = []
  const { registry, at, folder } = tree()
  registry.register(samplePmu('demo', groups))
  t.equal(folder('devices/demo').attributes().nlink, 3)
  groups.push({ name: 'caps', attrs: texts({ max: '1\n' }) })
  t.equal(folder('devices/demo').attributes().nlink, 4)
  const file = open(at('devices/demo/caps/max'))
  groups.pop()
  t.notOk(names(folder('devices/demo')).includes('caps'))
  t.equal(
    errnoFrom(() => pread(file)),
    'ENODEV',
  )
  t.equal(folder('devices/demo').lookup('caps', root), undefined)
})

t.test(
  'groups of one name are one folder; what the core shows cannot be replaced by an attribute',
  async t => {
    const { registry, at, folder } = tree()
    registry.register(
      samplePmu('demo', [
        { name: 'events', attrs: texts({ a: '1\n' }) },
        { name: 'events', attrs: texts({ b: '2\n' }) },
        { attrs: texts({ type: '1\n' }) },
      ]),
    )
    t.same(names(folder('devices/demo/events')), ['a', 'b'])
    t.equal(cat(at('devices/demo/type')), '4096\n')
    t.same(
      names(folder('devices/demo')).filter(name => name === 'type'),
      ['type'],
    )
  },
)

t.test('an attribute whose name cannot be a file name is left out', async t => {
  const { registry, folder } = tree()
  const files = {
    '..': '',
    '.': '',
    '': '',
    'a/b': '',
    'x\0': '',
    ['y'.repeat(256)]: '',
    '...': '',
    'a.unit': '',
  }
  registry.register(samplePmu('demo', [{ name: 'events', attrs: texts(files) }]))
  t.same(names(folder('devices/demo/events')), ['...', 'a.unit'])
})

t.test("the kernel's PMUs are asked for at each use; one of ours hides one of the same name", async t => {
  let host = hosts
  const { registry, folder } = tree({ hostPmus: () => host })
  const links = folder('bus/event_source/devices')
  const target = (name: string) => {
    const node = links.lookup(name, root)
    return node?.kind === 'symlink' ? node.readlink() : undefined
  }
  t.equal(target('msr'), '/sys/devices/msr')
  t.equal(links.lookup('msr', root), links.lookup('msr', root))
  registry.register(msr())
  t.equal(target('msr'), '../../../devices/msr')
  t.same(names(links), ['msr', 'software'])
  host = [{ name: 'software', target: '/sys/devices/software' }]
  orThrow(registry.unregister(orThrow(registry.byName('msr')?.pmu ?? msr())))
  t.equal(target('msr'), undefined)
  t.same(names(links), ['software'])
})

t.test("the owner of the mount owns the tree's nodes", async t => {
  const registry = new PmuRegistry()
  const top = sysfs({ owner: { uid: 1000, gid: 100 }, registry, hostPmus: () => hosts })
  registry.register(kvm())
  const check = (node: ReturnType<typeof find>) => {
    t.match(node.attributes(), { uid: 1000, gid: 100 })
    if (node.kind === 'directory')
      for (const { name } of node.entries(root)) check(node.lookup(name, root) ?? node)
  }
  check(top)
})

t.test("stores: each file takes and refuses what the kernel's takes and refuses", async t => {
  const { registry, at } = tree()
  registry.register(kvm())
  const uuid = '12345678-1234-1234-1234-123456789aBc'
  // Recorded from /sys/devices/msr on Linux 6.18.
  const rows: [string, Record<string, string | number>][] = [
    [
      'devices/kvm/uevent',
      {
        add: 3,
        'add\n': 4,
        'add\0': 4,
        'remove\n': 7,
        change: 6,
        move: 4,
        online: 6,
        offline: 7,
        bind: 4,
        unbind: 6,
        [`add ${uuid}`]: 40,
        [`add ${uuid}\n`]: 41,
        [`add ${uuid} A=1 B2=c3\n`]: 51,
        '': 0,
        x: 'EINVAL',
        ad: 'EINVAL',
        addx: 'EINVAL',
        ADD: 'EINVAL',
        ' add': 'EINVAL',
        'add ': 'EINVAL',
        'add\n\n': 'EINVAL',
        'add \n': 'EINVAL',
        'add\0junk': 'EINVAL',
        '\n': 'EINVAL',
        '\0': 'EINVAL',
        'add 0': 'EINVAL',
        [`add ${uuid} `]: 'EINVAL',
        [`add ${uuid} A=`]: 'EINVAL',
        [`add ${uuid} =1`]: 'EINVAL',
        [`add ${uuid} A=_`]: 'EINVAL',
        [`add ${uuid}  A=1`]: 'EINVAL',
        [`add ${uuid}\n\n`]: 'EINVAL',
      },
    ],
    ['bus/event_source/uevent', { add: 3, 'change\n': 7, '': 0, x: 'EINVAL' }],
    [
      'devices/kvm/power/control',
      {
        on: 2,
        auto: 4,
        'auto\n': 5,
        'on\0x': 4,
        '': 0,
        off: 'EINVAL',
        ON: 'EINVAL',
        ' on': 'EINVAL',
        'on\n\n': 'EINVAL',
        '\n': 'EINVAL',
      },
    ],
    ['devices/kvm/power/autosuspend_delay_ms', { 5: 'EIO', x: 'EIO', '': 0 }],
    [
      'devices/kvm/perf_event_mux_interval_ms',
      {
        '4\n': 2,
        5: 1,
        '5\0junk': 6,
        '0x10': 4,
        '': 0,
        '-1': 'EINVAL',
        0: 'EINVAL',
        ' 5': 'EINVAL',
        '5\n\n': 'EINVAL',
        x: 'EINVAL',
        '\0': 'EINVAL',
        2147483648: 'ERANGE',
      },
    ],
    ['devices/kvm/type', { 5: 'EACCES' }],
    ['devices/kvm/events/exits', { 5: 'EACCES' }],
    ['devices/kvm/reset', { 1: 1 }],
  ]
  for (const [path, writes] of rows)
    for (const [text, expected] of Object.entries(writes)) {
      let result: string | number = 'nothing'
      const code = errnoFrom(() => {
        result = echo(at(path), text)
      })
      t.equal(code === 'ok' ? result : code, expected, `${path} ${JSON.stringify(text)}`)
    }
})

t.test('what was stored is shown: the interval as a decimal, power/control as a word', async t => {
  const { registry, at } = tree()
  const registration = orThrow(registry.register(kvm()))
  t.equal(cat(at('devices/kvm/perf_event_mux_interval_ms')), '4\n')
  echo(at('devices/kvm/perf_event_mux_interval_ms'), '0x10\n')
  t.equal(cat(at('devices/kvm/perf_event_mux_interval_ms')), '16\n')
  t.equal(registration.perf_event_mux_interval_ms, 16)
  echo(at('devices/kvm/power/control'), 'on\n')
  t.equal(cat(at('devices/kvm/power/control')), 'on\n')
  echo(at('devices/kvm/threshold'), '20\n')
  t.equal(cat(at('devices/kvm/threshold')), '20\n')
})
