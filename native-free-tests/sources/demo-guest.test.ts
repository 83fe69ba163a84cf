import * as fc from 'fast-check'
import t from 'tap'
import { ErrnoError } from '../../src/abi/errno.js'
import type { Machine } from '../../src/abi/syscalls.js'
import { exactStatistics, movedExactly, type ProbedGuest } from '../../src/sources/demo/exactness.js'
import {
  guestMemorySize,
  guestPrograms,
  kindsOf,
  mmioBase,
  type Pass,
  passes,
  sledOf,
  writeProgram,
} from '../../src/sources/demo/guest-program.js'
import { roundOf } from '../../src/sources/demo/pacing.js'
import { type BurstKind, burstKinds, parseCommand } from '../../src/sources/demo/protocol.js'
import { type DemoVcpu, type Order, runVcpu } from '../../src/sources/demo/vcpu-loop.js'

const anyKind = fc.constantFrom(...burstKinds)

t.test('parseCommand() gives each command as it was written', async t => {
  const anyCommand = fc.oneof(
    fc.record({ op: fc.constant('run') }),
    fc.record({ op: fc.constant('pause') }),
    fc.record({ op: fc.constant('burst'), vcpu: fc.nat(), kind: anyKind, count: fc.maxSafeNat() }),
  )
  fc.assert(fc.property(anyCommand, command => void t.same(parseCommand(JSON.stringify(command)), command)))
})

t.test('parseCommand() fails with EINVAL and says what it wants', async t => {
  const refusals: [line: string, message: RegExp][] = [
    ['{"op":"run"', /no JSON/],
    ['["run"]', /JSON object/],
    ['null', /JSON object/],
    ['{}', /"op" must be one of "run", "pause", "burst"/],
    ['{"op":"stop"}', /"op" must be one of/],
    ['{"op":"burst","kind":"port","count":1}', /"vcpu" must be a vCPU number/],
    ['{"op":"burst","vcpu":0,"kind":"nmi","count":1}', /"kind" must be one of "port", "mmio", "halt"/],
    ['{"op":"burst","vcpu":0,"kind":"port","count":-1}', /"count" must be a whole number/],
    ['{"op":"burst","vcpu":0,"kind":"port","count":"1"}', /"count" must be a whole number/],
    ['{"op":"burst","vcpu":0,"kind":"port","count":1.5}', /"count" must be a whole number/],
    ['{"op":"burst","vcpu":0,"kind":"port","count":1e300}', /"count" must be a whole number/],
  ]
  for (const [line, message] of refusals)
    t.throws(() => parseCommand(line), { code: 'EINVAL', message }, line)
})

t.test('parseCommand() gives a command or an ErrnoError for any line', async () => {
  const anyLine = fc.oneof(fc.string(), fc.json())
  fc.assert(
    fc.property(anyLine, line => {
      try {
        return parseCommand(line).op.length > 0
      } catch (error) {
        return error instanceof ErrnoError && error.code === 'EINVAL'
      }
    }),
  )
})

const machines = ['x86_64', 'aarch64'] as const

/** What a pass executes, as a CPU would: instructions by kind, until so many have left to the VMM. */
function execute(machine: Machine, memory: Uint8Array, { address, exits }: Pass): BurstKind[] {
  const executed: BurstKind[] = []
  const kinds = kindsOf(machine)
  for (let left = exits, at = address; left > 0; ) {
    const kind = kinds.find(name =>
      sledOf(machine, name).instruction.every((byte, i) => memory[at + i] === byte),
    )
    if (kind === undefined) throw new Error(`no instruction at ${at}`)
    executed.push(kind)
    at += sledOf(machine, kind).instruction.length
    if (!sledOf(machine, kind).blocks) left -= 1
  }
  return executed
}

for (const machine of machines) {
  t.test(`${machine}: a burst of N executes N instructions of its kind`, async () => {
    const memory = new Uint8Array(guestMemorySize)
    writeProgram(memory, machine)
    fc.assert(
      fc.property(fc.constantFrom(...kindsOf(machine)), fc.nat(20_000), (kind, count) => {
        const all = [...passes(machine, kind, count)]
        const executed = all.flatMap(pass => execute(machine, memory, pass))
        // Each pass of instructions that do not return to the VMM ends with one write that does.
        const ends = sledOf(machine, kind).blocks ? all.length : 0
        return executed.filter(name => name === kind).length === count && executed.length === count + ends
      }),
    )
  })
}

t.test('sledOf() refuses a kind that a machine has no instruction for, and names those it has', async t => {
  t.same(Object.keys(guestPrograms.aarch64), ['mmio', 'halt'])
  t.throws(() => sledOf('aarch64', 'port'), { code: 'EOPNOTSUPP', message: /"port"; use "mmio" or "halt"/ })
})

t.test(
  "the address that mmio writes lies behind the guest's memory and within real mode's reach",
  async t => {
    t.ok(mmioBase >= guestMemorySize)
    t.ok(mmioBase <= 0xffff0)
    t.equal(mmioBase % 16, 0, 'a segment starts at a multiple of 16')
  },
)

interface Log {
  readonly bursts: [BurstKind, number][]
  readonly timeouts: number[]
  done: number
}

/** Runs the loop over a script: an order, or undefined for a rest that passed; it ends with the script. */
function play(script: readonly (Order | undefined)[]): Log {
  const log: Log = { bursts: [], timeouts: [], done: 0 }
  const vcpu: DemoVcpu = { burst: (kind, count) => void log.bursts.push([kind, count]) }
  const end = new Error('end of script')
  let at = 0
  const next = (timeout: number) => {
    if (at === script.length) throw end
    log.timeouts.push(timeout)
    return script[at++]
  }
  try {
    runVcpu(vcpu, { bursts: [['port', 3]], rest: 7 }, { next, done: () => void log.done++ })
  } catch (error) {
    if (error !== end) throw error
  }
  return log
}

t.test('runVcpu() makes no event of its own while it is paused', async t => {
  const log = play([{ op: 'run' }, { op: 'pause' }, { op: 'burst', kind: 'mmio', count: 5 }])
  t.same(log.bursts, [['mmio', 5]])
  t.equal(log.done, 3)
})

t.test('runVcpu() runs one round for each rest that passes', async t => {
  const log = play([{ op: 'run' }, undefined, undefined, { op: 'pause' }])
  t.same(log.bursts, [
    ['port', 3],
    ['port', 3],
  ])
  t.same(log.timeouts, [Number.POSITIVE_INFINITY, 7, 7, 7], 'before the first run it waits without an end')
  t.equal(log.done, 2, 'rounds are no answers')
})

t.test('runVcpu() does not answer an order that failed', async t => {
  let done = 0
  const vcpu: DemoVcpu = {
    burst: () => {
      throw new ErrnoError('EIO')
    },
  }
  const orders = { next: (): Order => ({ op: 'burst', kind: 'port', count: 1 }), done: () => void done++ }
  t.throws(() => runVcpu(vcpu, roundOf('x86_64', 0), orders), { code: 'EIO' })
  t.equal(done, 0)
})

t.test('roundOf() has every kind of event, and two neighbours can be told apart', async t => {
  for (const machine of machines) {
    for (const id of [0, 1])
      t.same(new Set(roundOf(machine, id).bursts.map(([kind]) => kind)), new Set(kindsOf(machine)))
    t.not(roundOf(machine, 0).bursts[0]?.[1], roundOf(machine, 1).bursts[0]?.[1])
  }
})

t.test(
  'movedExactly() gives the statistics whose difference is the count, across a wrap of 64 bits too',
  async t => {
    const before = new Map([
      ['still', 4n],
      ['exact', 10n],
      ['more', 10n],
      ['wrapped', 2n ** 64n - 1n],
    ])
    const after = new Map([
      ['still', 4n],
      ['exact', 15n],
      ['more', 16n],
      ['wrapped', 4n],
      ['fresh', 5n],
    ])
    t.same(movedExactly(before, after, 5), new Set(['exact', 'wrapped']))
  },
)

/** A guest with one statistic that is exact, one that is for small bursts only, and one that stands still. */
function noisyGuest(): ProbedGuest {
  const counts = { exact: 0n, noisy: 0n, still: 0n }
  return {
    request: async ({ count }) => {
      counts.exact += BigInt(count)
      counts.noisy += BigInt(count) + BigInt(Math.floor(count / 1000))
    },
    read: () => new Map(Object.entries(counts)),
  }
}

t.test('exactStatistics() leaves out what is off in one of its bursts', async t => {
  t.same(await exactStatistics(noisyGuest(), 0, 'port'), ['exact'])
})
