/**
 * Any interleaving of opens, closes and switches over several events on shared counters, against a model that is
 * simple enough to be seen right: what an event has counted is what happened while it and its leader were on.
 */
import fc from 'fast-check'
import t from 'tap'
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_RESET,
  PERF_FORMAT_GROUP,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
} from '../../src/abi/perf-event.js'
import type { PerfEvent } from '../../src/perf/event.js'
import { perf_ioctl, perf_release } from '../../src/perf/event-file.js'
import { FakeTask } from './support/fake-host.js'
import { Setup, values } from './support/setup.js'

const TIDS = [100, 200]
const CONFIGS = [0n, 1n]
const U64 = (1n << 64n) - 1n

interface ModelEvent {
  readonly tid: number
  readonly config: bigint
  readonly isGroupRead: boolean
  isOn: boolean
  leader: ModelEvent | undefined
  siblings: ModelEvent[]
  count: bigint
  time: bigint
}

interface Model {
  readonly events: ModelEvent[]
  readonly exited: Set<number>
}

class Real extends Setup {
  readonly events: PerfEvent[] = []

  constructor() {
    super()
    for (const tid of TIDS) this.host.tasks.set(tid, new FakeTask(tid))
    // The counters start where two more ticks wrap them.
    for (const config of CONFIGS) this.pmu.counters.set(config, U64 - 1n)
  }
}

type Command = fc.Command<Model, Real>

const leaderOf = (event: ModelEvent): ModelEvent => event.leader ?? event
const counts = (model: Model, event: ModelEvent): boolean =>
  event.isOn && leaderOf(event).isOn && !model.exited.has(event.tid)
const groupOf = (event: ModelEvent): ModelEvent[] => [leaderOf(event), ...leaderOf(event).siblings]

/** The element that an arbitrary number stands for. */
const pick = <T>(list: readonly T[], seed: number): T | undefined => list[seed % list.length]

const times = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING

function checkRead(model: Model, real: Real, index: number): void {
  const expected = model.events[index]
  const event = real.events[index]
  if (!expected || !event) return
  const timesOf = (of: ModelEvent) => [of.time, of.time]
  const members = groupOf(expected)
  const wanted = expected.isGroupRead
    ? [BigInt(members.length), ...timesOf(leaderOf(expected)), ...members.map(member => member.count)]
    : [expected.count, ...timesOf(expected)]
  const got = values(event)
  if (got.join() !== wanted.join()) throw new Error(`read ${got.join()}, wanted ${wanted.join()}`)
}

/** One step, described by what it was made from. */
const step = (
  text: string,
  run: (model: Model, real: Real) => void,
  check: (model: Readonly<Model>) => boolean = () => true,
): Command => ({ run, check, toString: () => text })

interface OpenSeed {
  readonly tid: number
  readonly config: number
  readonly isOn: boolean
  readonly isGroupRead: boolean
  readonly leader: number
}

const tidOf = (seed: number): number => pick(TIDS, seed) ?? 0

function open(seed: OpenSeed): Command {
  const tid = tidOf(seed.tid)
  const { isOn, isGroupRead } = seed
  const run = (model: Model, real: Real) => {
    const config = pick(CONFIGS, seed.config) ?? 0n
    const leaders = model.events.filter(event => event.tid === tid && !event.leader)
    const leader = seed.leader === 0 ? undefined : pick(leaders, seed.leader)
    const group_fd = (leader && real.events[model.events.indexOf(leader)]) ?? -1
    const read_format = isGroupRead ? times | PERF_FORMAT_GROUP : times
    real.events.push(real.open({ pid: tid, group_fd, attr: { config, disabled: !isOn, read_format } }))
    const event = { tid, config, isOn, isGroupRead, leader, siblings: [], count: 0n, time: 0n }
    leader?.siblings.push(event)
    model.events.push(event)
  }
  return step(`open ${JSON.stringify(seed)}`, run, model => !model.exited.has(tid))
}

interface Chosen {
  readonly model: Model
  readonly real: Real
  readonly index: number
  readonly event: ModelEvent
  readonly handle: PerfEvent
}

/** A step on one of the open events. */
function onEvent(text: string, seed: number, act: (chosen: Chosen) => void): Command {
  const run = (model: Model, real: Real) => {
    const index = seed % model.events.length
    const event = model.events[index]
    const handle = real.events[index]
    if (event && handle) act({ model, real, index, event, handle })
  }
  return step(`${text} ${seed}`, run, model => model.events.length > 0)
}

const GROUP_FLAG = [0n, 1n]

function ioctl(cmd: number, seed: number, isGroup: boolean, change: (event: ModelEvent) => void): Command {
  return onEvent(`ioctl 0x${cmd.toString(16)}${isGroup ? ' group' : ''}`, seed, ({ event, handle }) => {
    perf_ioctl(handle, { cmd, arg: GROUP_FLAG[Number(isGroup)] ?? 0n, input: new Uint8Array(0) })
    for (const member of isGroup ? groupOf(event) : [event]) change(member)
  })
}

function close(seed: number): Command {
  return onEvent('close', seed, ({ model, real, index, event, handle }) => {
    perf_release(handle)
    real.events.splice(index, 1)
    model.events.splice(index, 1)
    for (const sibling of event.siblings) sibling.leader = undefined
    const { leader } = event
    if (leader) leader.siblings = leader.siblings.filter(other => other !== event)
  })
}

function tick(seed: number, by: bigint): Command {
  const config = pick(CONFIGS, seed) ?? 0n
  return step(`tick ${config} by ${by}`, (model, real) => {
    real.pmu.tick(config, by)
    for (const event of model.events)
      if (event.config === config && counts(model, event)) event.count = (event.count + by) & U64
  })
}

function runThread(seed: number, time: bigint): Command {
  const tid = tidOf(seed)
  const run = (model: Model, real: Real) => {
    const task = real.host.tasks.get(tid)
    if (task) task.time += time
    for (const event of model.events) if (event.tid === tid && counts(model, event)) event.time += time
  }
  return step(`run ${tid} for ${time}`, run, model => !model.exited.has(tid))
}

/** The thread's end, which the core is told of or finds out by itself. */
function exit(seed: number, isTold: boolean): Command {
  const tid = tidOf(seed)
  return step(`exit ${tid}${isTold ? '' : ' untold'}`, (model, real) => {
    const task = real.host.tasks.get(tid)
    if (!task) return
    task.isExited = true
    if (isTold) real.core.taskExited(task)
    // What an untold exit leaves on the PMU is taken off at the next use of each event.
    else for (const index of model.events.keys()) checkRead(model, real, index)
    model.exited.add(tid)
  })
}

const seed = fc.nat({ max: 50 })
const by = fc.bigInt({ min: 1n, max: 9n })
const onOff = fc.constantFrom(
  { cmd: PERF_EVENT_IOC_ENABLE, isOn: true },
  { cmd: PERF_EVENT_IOC_DISABLE, isOn: false },
)
const openSeed = fc.record({
  tid: seed,
  config: seed,
  isOn: fc.boolean(),
  isGroupRead: fc.boolean(),
  leader: fc.nat({ max: 3 }),
})
const commands = [
  openSeed.map(open),
  fc.tuple(onOff, seed, fc.boolean()).map(([{ cmd, isOn }, n, isGroup]) =>
    ioctl(cmd, n, isGroup, event => {
      event.isOn = isOn
    }),
  ),
  fc.tuple(seed, fc.boolean()).map(([n, isGroup]) =>
    ioctl(PERF_EVENT_IOC_RESET, n, isGroup, event => {
      event.count = 0n
    }),
  ),
  seed.map(n => onEvent('read', n, ({ model, real, index }) => checkRead(model, real, index))),
  seed.map(close),
  fc.tuple(seed, by).map(([n, step]) => tick(n, step)),
  fc.tuple(seed, by).map(([n, time]) => runThread(n, time)),
  // Rare, so that threads live long enough for something to happen to them.
  fc
    .tuple(fc.nat({ max: 60 }), fc.boolean())
    .map(([n, isTold]) => (n < TIDS.length ? exit(n, isTold) : tick(n, 1n))),
]

t.test('no interleaving of operations loses or doubles a count, or a nanosecond', async t => {
  const first = fc.array(openSeed.map(open), { minLength: 2, maxLength: 8 })
  const rest = fc.commands(commands, { maxCommands: 60, size: 'max' })
  const property = fc.property(first, rest, (opens, list) => {
    const model: Model = { events: [], exited: new Set() }
    const real = new Real()
    for (const one of opens) one.run(model, real)
    fc.modelRun(() => ({ model, real }), list)
    for (const index of model.events.keys()) checkRead(model, real, index)
    for (const event of real.events) perf_release(event)
    if (real.pmu.placed.size > 0) throw new Error('an event is still placed')
    if (real.core.eventCount > 0) throw new Error('an event is still open')
    for (const task of real.host.tasks.values())
      if (task.references !== 0) throw new Error(`thread ${task.tid} is still held`)
  })
  const result = fc.check(property, { numRuns: 500 })
  t.notOk(result.failed, fc.defaultReportMessage(result) ?? '')
})
