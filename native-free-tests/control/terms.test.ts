import fc from 'fast-check'
import t from 'tap'
import { ErrnoError } from '../../src/abi/errno.js'
import { type ConfigWords, parseFormat, resolveTerms } from '../../src/control/terms.js'
import type { Pmu } from '../../src/perf/pmu.js'

const attribute = (name: string, text: string) => ({ name, show: () => `${text}\n` })

const pmu: Pmu = {
  name: 'test',
  task_ctx_nr: 'perf_sw_context',
  capabilities: 0,
  attr_groups: [
    {
      name: 'format',
      attrs: [
        attribute('event', 'config:0-7'),
        attribute('split', 'config1:0-3,8-11'),
        attribute('flag', 'config2:63'),
        attribute('broken', 'nonsense'),
      ],
    },
    {
      name: 'events',
      attrs: [
        attribute('exits', 'event=0x02'),
        attribute('both', 'event=3,split=0xab'),
        attribute('open', 'event=4,split=?'),
        attribute('exits.unit', 's'),
      ],
    },
  ],
  event_init: () => undefined,
  add: () => undefined,
  del: () => undefined,
  start: () => undefined,
  stop: () => undefined,
  read: () => undefined,
}

const zero: ConfigWords = [0n, 0n, 0n, 0n]

t.test('resolveTerms() resolves events, terms and whole words', async t => {
  const cases: readonly [string, ConfigWords][] = [
    ['exits', [2n, 0n, 0n, 0n]],
    ['event=0x1', [1n, 0n, 0n, 0n]],
    ['event=255', [255n, 0n, 0n, 0n]],
    ['event', [1n, 0n, 0n, 0n]],
    ['both', [3n, 0xa0bn, 0n, 0n]],
    ['exits,flag', [2n, 0n, 1n << 63n, 0n]],
    [' exits , split=0x12 ', [2n, 0x102n, 0n, 0n]],
    ['config=0xffffffffffffffff,config3=7', [0xffff_ffff_ffff_ffffn, 0n, 0n, 7n]],
    ['exits,event=5', [5n, 0n, 0n, 0n]],
  ]
  for (const [text, words] of cases) t.strictSame(resolveTerms(pmu, text, zero), words, text)
})

t.test('resolveTerms() wants the terms that an event leaves open', async t => {
  const words: ConfigWords = [4n, 0x102n, 0n, 0n]
  t.strictSame(resolveTerms(pmu, 'open,split=0x12', zero), words)
  t.strictSame(resolveTerms(pmu, 'split=0x12,open', zero), words)
  const message = 'Cannot count "open" without its term "split": give "open,split=NUMBER"'
  t.throws(() => resolveTerms(pmu, 'open', zero), { code: 'EINVAL', message })
  t.throws(() => resolveTerms(pmu, 'split=?', zero), { code: 'EINVAL' })
})

t.test('resolveTerms() keeps the bits that no term names', async t => {
  t.strictSame(resolveTerms(pmu, 'split=1', [0n, 0xf0n, 0n, 0n]), [0n, 0xf1n, 0n, 0n])
})

t.test('resolveTerms() fails with EINVAL and names what is near', async t => {
  const cases: readonly [string, RegExp][] = [
    ['exit', /did you mean "exits"/],
    ['evnt=1', /did you mean "event"/],
    ['', /Cannot find event or term ""/],
    ['exits,', /Cannot find event or term ""/],
    ['event=256', /its 8 bits hold 0 to 255/],
    ['flag=2', /its 1 bits hold 0 to 1/],
    ['event=', /no decimal or 0x/],
    ['event=0x', /no decimal or 0x/],
    ['event=-1', /no decimal or 0x/],
    ['broken=1', /unreadable format/],
    ['config4=1', /Cannot find term/],
    ['exits.unit', /Cannot find event or term|no decimal/],
  ]
  for (const [text, message] of cases) {
    t.throws(() => resolveTerms(pmu, text, zero), { code: 'EINVAL', message }, text)
  }
})

t.test(
  'resolveTerms() puts any value that fits where the format says, and gives an ErrnoError otherwise',
  async () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 0xfffn), value => {
        try {
          const [, word] = resolveTerms(pmu, `split=${value}`, zero)
          return value < 256n && (word & 0xfn) === (value & 0xfn) && word >> 8n === value >> 4n
        } catch (error) {
          return error instanceof ErrnoError && value > 255n
        }
      }),
    )
  },
)

t.test("parseFormat() reads the kernel's format texts", async t => {
  t.match(parseFormat('config:0-7\n'), { word: 0, width: 8 })
  t.match(parseFormat('config3:5\n'), { word: 3, width: 1 })
  t.equal(parseFormat('config'), undefined)
})
