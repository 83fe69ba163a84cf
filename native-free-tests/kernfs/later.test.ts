import t from 'tap'
import { chain, Later, type MaybeLater } from '../../src/kernfs/later.js'

/** Collects what a Later settles with. */
function outcome<T>(later: Later<T>): unknown[] {
  const seen: unknown[] = []
  later.done(
    value => seen.push(['value', value]),
    error => seen.push(['error', error]),
  )
  return seen
}

t.test('done() hears a result that comes after it and one that came before it', async t => {
  const after = new Later<number>()
  const seen = outcome(after)
  t.same(seen, [])
  after.resolve(1)
  t.same(seen, [['value', 1]])

  const before = new Later<number>()
  before.reject('no')
  t.same(outcome(before), [['error', 'no']])
})

t.test('only the first of several outcomes counts', async t => {
  const later = new Later<number>()
  const seen = outcome(later)
  later.resolve(1)
  later.resolve(2)
  later.reject('no')
  later.cancel('EINTR')
  t.same(seen, [['value', 1]])
})

t.test('cancel() tells whoever would settle it, once, and gives the consumer its error', async t => {
  const told: unknown[] = []
  const later = new Later<number>(error => told.push(error))
  const seen = outcome(later)
  later.cancel('EINTR')
  later.cancel('again')
  later.resolve(1)
  t.same(told, ['EINTR'])
  t.same(seen, [['error', 'EINTR']])
})

t.test('map() passes on a value, a later value, a thrown error and a rejection', async t => {
  const inner = new Later<string>()
  const thrown = new Error('thrown')
  const cases: [string, (n: number) => MaybeLater<string>, unknown][] = [
    ['a value', n => `${n}`, ['value', '7']],
    ['a later value', () => inner, ['value', 'inner']],
    [
      'a throw',
      () => {
        throw thrown
      },
      ['error', thrown],
    ],
  ]
  for (const [name, next, expected] of cases) {
    const first = new Later<number>()
    const seen = outcome(first.map(next))
    first.resolve(7)
    inner.resolve('inner')
    t.same(seen, [expected], name)
  }
  const first = new Later<number>()
  const seen = outcome(first.map(() => 'never'))
  first.reject('rejected')
  t.same(seen, [['error', 'rejected']])
})

function cancelled<T>(later: Later<T>): Later<T> {
  later.cancel('EINTR')
  return later
}

t.test('cancelling a mapped result cancels what is pending, and its error arrives', async t => {
  const told: string[] = []
  const first = new Later<number>(() => told.push('first'))
  const second = new Later<number>(() => told.push('second'))

  const early = outcome(cancelled(first.map(() => second)))
  t.same(early, [['error', 'EINTR']])
  t.same(told, ['first'])

  const start = new Later<number>(() => told.push('start'))
  const mapped = start.map(() => second)
  start.resolve(1)
  t.same(outcome(cancelled(mapped)), [['error', 'EINTR']])
  t.same(told, ['first', 'second'])
})

t.test(
  'recover() passes a value on, turns a rejection into a value and passes on what it throws',
  async t => {
    const good = new Later<number>()
    const bad = new Later<number>()
    const worse = new Later<number>()
    const seen = [
      outcome(good.recover(() => 0)),
      outcome(bad.recover(() => 0)),
      outcome(
        worse.recover(error => {
          throw new Error('handled', { cause: error })
        }),
      ),
    ]
    good.resolve(1)
    bad.reject('no')
    worse.reject('no')
    t.same(seen, [[['value', 1]], [['value', 0]], [['error', new Error('handled', { cause: 'no' })]]])
  },
)

t.test('chain() runs at once on a value that is there', async t => {
  t.equal(
    chain(2, n => n + 1),
    3,
  )
  const later = new Later<number>()
  const result = chain(later, n => n + 1)
  later.resolve(2)
  t.same(result instanceof Later && outcome(result), [['value', 3]])
})
