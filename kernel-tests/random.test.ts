/**
 * The random comparison with the kernel: attributes, groups, then descriptors, on its msr PMU and, under exec, on ours
 * of the same rules. PMUFS_RANDOM_CASES and PMUFS_RANDOM_SEED have others run, PMUFS_RANDOM_CASE="group 38" one alone.
 */
import t from 'tap'
import { needs } from './support/needs.js'
import { fixture, mountpoint, program } from './support/program.js'
import { type Cases, compare, type Kind } from './support/random.js'
import { scaled } from './support/scale.js'

const seed = Number(process.env.PMUFS_RANDOM_SEED ?? Date.now() % 1_000_000)
const count = Number(process.env.PMUFS_RANDOM_CASES ?? scaled(4000))
const [only, number] = (process.env.PMUFS_RANDOM_CASE ?? '').split(' ')

/** By what a case costs: opening is one call, the others are many. */
const shares: readonly (readonly [kind: Kind, share: number])[] = [
  ['attr', 0.7],
  ['group', 0.12],
  ['descriptor', 0.18],
]

const casesOf = (kind: Kind, share: number): Cases =>
  number === undefined
    ? { kind, seed, first: 0, end: Math.ceil(count * share) }
    : { kind, seed, first: Number(number), end: Number(number) + 1 }

t.test(`the random comparison, seed ${seed}`, needs('root', 'fuse', 'gcc', 'msr'), async t => {
  const dir = mountpoint(t)
  const { call } = program(t)
  t.same(await call('mount', { dir, pmus: [{ module: fixture('like-msr') }] }), { value: { dir } })
  const compared = await compare(t, { dir })
  for (const [kind, share] of shares) {
    if (only && only !== kind) continue
    const cases = casesOf(kind, share)
    const { steps, found } = await compared(cases)
    const many = cases.end - cases.first
    t.comment(`${many} cases of ${kind}, ${steps} steps, seed ${seed}`)
    t.ok(steps >= many, 'each case has a step')
    t.strictSame(found, [], `${many} cases of ${kind} are as the kernel has them (seed ${seed})`)
  }
  t.same((await call('reports')).value, [], 'nothing went wrong in the server')
  t.same(await call('unmount'), { value: null })
})
