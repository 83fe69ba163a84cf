import t from 'tap'
import { eventNameRefusal, eventsRefusal, pmuNameRefusal } from '../../src/perf/names.js'

const file = (name: string) => ({ name, show: () => '' })

t.test("eventNameRefusal() takes the kernel's kind of name and says why not", async t => {
  for (const name of ['energy-pkg', 'cache.hit', 'exits', 'CYCLES', '_x', 'read'])
    t.equal(eventNameRefusal(name), undefined, name)
  const refused: readonly [string, RegExp][] = [
    ['Mixed', /small letters or in capitals/],
    ['9lives', /letter or "_" first/],
    ['-a', /letter or "_" first/],
    ['a b', /perf takes letters/],
    ['', /perf takes letters/],
    ['a\n', /perf takes letters/],
    ['a.unit', /describes another event/],
    ['a.per-pkg', /describes another event/],
    ['period', /term of its own/],
  ]
  for (const [name, why] of refused) t.match(eventNameRefusal(name), why, name)
})

t.test('pmuNameRefusal() takes what perf takes before a slash', async t => {
  for (const name of ['io', 'uncore_imc_0', 'disk', 'kvm_vm', 'name'])
    t.equal(pmuNameRefusal(name), undefined, name)
  const refused: readonly [string, RegExp][] = [
    ['drop-tower', /perf takes letters/],
    ['a/b', /perf takes letters/],
    ['cycles', /event of its own/],
    ['r1a', /event of its own/],
    ['u', /event of its own/],
  ]
  for (const [name, why] of refused) t.match(pmuNameRefusal(name), why, name)
})

t.test('eventsRefusal() looks at files of events/ that are events, and at format/', async t => {
  const groups = (...events: string[]) => [
    { name: 'events', attrs: events.map(file) },
    { name: 'format', attrs: [file('event')] },
    { attrs: [file('Cpumask')] },
  ]
  t.equal(
    eventsRefusal(groups('read', 'read.unit', 'read.scale', 'read.snapshot', 'read.per-pkg')),
    undefined,
  )
  t.match(eventsRefusal(groups('read.unit')), { code: 'EINVAL', message: /"read.unit" is unfit/ })
  t.match(eventsRefusal(groups('event')), { message: /a term in format\/ is called so/ })
  t.match(eventsRefusal(groups('read', 'Write')), { message: /"Write" is unfit/ })
})
