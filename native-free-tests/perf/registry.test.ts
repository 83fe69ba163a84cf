import t from 'tap'
import { Failure, orThrow } from '../../src/abi/errno.js'
import { parseMuxInterval } from '../../src/perf/mux-interval.js'
import { PmuRegistry } from '../../src/perf/registry.js'
import { FakePmu } from './support/fake-pmu.js'

const pmu = (name: string) => new FakePmu({ name })

t.test('register() gives dynamic types from 4096 up, the lowest free one first', async t => {
  const registry = new PmuRegistry()
  const [a, b, c] = [pmu('a'), pmu('second'), pmu('c')]
  const types = () => [a, b, c].map(each => registry.typeOf(each))
  for (const each of [a, b, c]) orThrow(registry.register(each))
  t.same(types(), [4096, 4097, 4098])
  t.equal(registry.unregister(b), undefined)
  t.same(types(), [4096, undefined, 4098])
  const d = pmu('d')
  t.equal(orThrow(registry.register(d)).type, 4097, 'a freed type is used again')
  t.equal(orThrow(registry.register(b)).type, 4099)
  t.equal(orThrow(registry.register(pmu('raw'), 4)).type, 4, 'a type that is asked for')
  t.equal(registry.byType(4098)?.pmu, c)
  t.equal(registry.byName('d')?.type, 4097)
  t.same(
    registry.list().map(({ pmu }) => pmu.name),
    ['a', 'c', 'd', 'second', 'raw'],
  )
  t.equal(new PmuRegistry(10_000).register(pmu('x')) instanceof Failure, false)
})

t.test('register() refuses names and types that are taken or cannot be', async t => {
  const registry = new PmuRegistry()
  const kvm = pmu('kvm')
  registry.register(kvm)
  t.match(registry.register(pmu('kvm')), { code: 'EEXIST', message: /kvm/ })
  t.match(registry.register(pmu('other'), 4096), { code: 'EEXIST', message: /kvm/ })
  const host = new PmuRegistry(4096, name => name === 'msr')
  t.match(host.register(pmu('msr')), { code: 'EEXIST', message: /the kernel has/ })
  for (const name of ['', '.', '..', 'a/b', 'a\0b', 'a-b', 'cycles'])
    t.match(registry.register(pmu(name)), { code: 'EINVAL' }, JSON.stringify(name))
  for (const type of [-2, 1.5, 2 ** 31]) t.match(registry.register(pmu('x'), type), { code: 'EINVAL' })
  t.match(registry.unregister(pmu('kvm')), { code: 'ENOENT' }, 'another PMU of the same name')
  t.equal(registry.typeOf(pmu('kvm')), undefined)
  t.equal(registry.byName('kvm')?.pmu, kvm)
})

t.test('listeners hear of each change until they leave', async t => {
  const registry = new PmuRegistry()
  const heard: string[] = []
  const leave = registry.onChange(({ kind, registration }) =>
    heard.push(`${kind} ${registration.pmu.name} ${registry.byName(registration.pmu.name) !== undefined}`),
  )
  const a = pmu('a')
  registry.register(a)
  registry.unregister(a)
  leave()
  registry.register(a)
  t.same(heard, ['registered a true', 'unregistered a false'])
})

t.test('parseMuxInterval() takes what kstrtoint() takes', async t => {
  const good: [string, number][] = [
    ['1', 1],
    ['4\n', 4],
    ['+7', 7],
    ['0x10', 16],
    ['0X1f\n', 31],
    ['010', 8],
    ['2147483647', 2147483647],
  ]
  for (const [text, value] of good) t.equal(parseMuxInterval(text), value, JSON.stringify(text))
  const invalid = ['0', '-1', '-0', 'abc', ' 1', '1 ', '1\n\n', '1 2', '08', '0x', '+-1', '1.5', '\n', '0x-1']
  for (const text of invalid) t.match(parseMuxInterval(text), { code: 'EINVAL' }, JSON.stringify(text))
  const outside = ['2147483648', '-2147483649', '99999999999999999999', '0xffffffff']
  for (const text of outside) t.match(parseMuxInterval(text), { code: 'ERANGE' }, text)
})
