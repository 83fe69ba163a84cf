/** The random comparison (fixtures/random.c): the same cases on the kernel's msr and, under exec, on a PMU like it. */
import { readFileSync } from 'node:fs'
import { execa } from 'execa'
import { compile, execOn, plainNode } from './exec.js'
import { limits } from './limits.js'
import type { Mounted, Test } from './mounted.js'
import { patience } from './patience.js'

/** What a case does. */
export type Kind = 'attr' | 'group' | 'descriptor'

/** Cases by their numbers, `first` to `end` - 1; they are made of the seed and their number alone. */
export interface Cases {
  readonly kind: Kind
  readonly seed: number
  readonly first: number
  readonly end: number
}

/** A line is `KIND NUMBER.STEP what was done: what came of it`; one that differs and is not stated fails. */
const isStated = (line: string): boolean => (/^\w+ \d+\.\d+ \[(\w+)\]/.exec(line)?.[1] ?? '') in limits

const caseOf = (line: string): string => /^\w+ (\d+)/.exec(line)?.[1] ?? ''

/** The lines of each case, by its number. */
function byCase(lines: readonly string[]): Map<string, string[]> {
  const cases = new Map<string, string[]>()
  for (const line of lines) cases.set(caseOf(line), [...(cases.get(caseOf(line)) ?? []), line])
  return cases
}

/** Both sides of a step that differs. */
interface Difference {
  readonly number: string
  readonly kernel: string | undefined
  readonly ours: string | undefined
}

/** The first step that differs of each case; those after it may only follow from it. */
function differences(kernel: readonly string[], ours: readonly string[]): Difference[] {
  const own = byCase(ours)
  return [...byCase(kernel)].flatMap(([number, theirs]) => {
    const mine = own.get(number) ?? []
    const length = Math.max(theirs.length, mine.length)
    for (let i = 0; i < length; i++)
      if (theirs[i] !== mine[i] && !isStated(theirs[i] ?? '')) {
        return [{ number, kernel: theirs[i], ours: mine[i] }]
      }
    return []
  })
}

/** Runs cases on both; how many steps there were, and a description with the command that repeats it of each difference. */
export async function compare(test: Test, mount: Pick<Mounted, 'dir'>) {
  const program = await compile(
    test,
    ['random', 'reference-call', 'random-attr', 'random-group', 'random-descriptor'],
    '-pthread',
  )
  const types = ['/sys/devices/msr/type', `${mount.dir}/sys/devices/like_msr/type`]
  const [msr = '', own = ''] = types.map(path => readFileSync(path, 'latin1').trim())
  const run = async (prefix: readonly string[], type: string, { kind, seed, first, end }: Cases) => {
    const numbers = [seed, first, end].map(String)
    const [command = '', ...args] = [...prefix, program, kind, type, '0', ...numbers]
    // A case takes some 20 ms.
    const timeout = patience(60_000 + 200 * (end - first))
    const options = { timeout, stdin: 'ignore', env: plainNode, maxBuffer: 2 ** 29 } as const
    return (await execa(command, args, options)).stdout.split('\n')
  }
  return async (cases: Cases) => {
    const kernel = await run([], msr, cases)
    const ours = await run(execOn(mount).split(' '), own, cases)
    const found = differences(kernel, ours).map(difference => ({
      ...difference,
      again: `PMUFS_RANDOM_CASE="${cases.kind} ${difference.number}" PMUFS_RANDOM_SEED=${cases.seed} npm run test:random`,
      steps: kernel.filter(line => caseOf(line) === difference.number),
    }))
    return { steps: kernel.length, found }
  }
}
