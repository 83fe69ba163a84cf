/**
 * PMUs made of functions that give a number: whoever has counts need not know the kernel's callbacks.
 * Counterpart: a software PMU such as arch/x86/events/msr.c, whose events differ only in what they read.
 *
 * Such a PMU counts threads, CPUs or the machine as a whole. An event's id is its place in the list, so a list is only
 * ever appended to: ids are what scripts and recorded sessions have.
 */
import { ErrnoError, errnoOf, Failure, orThrow } from '../abi/errno.js'
import {
  PERF_EF_START,
  PERF_HES_STOPPED,
  PERF_HES_UPTODATE,
  PERF_PMU_CAP_NO_EXCLUDE,
  PERF_PMU_CAP_NO_INTERRUPT,
} from '../abi/perf-event.js'
import { wrap64 } from '../abi/struct.js'
import { eventAttributes, eventIdText, textAttribute } from './attribute-files.js'
import { countBetween } from './count-between.js'
import type { PerfEvent } from './event.js'
import { eventsRefusal } from './names.js'
import { cpumaskAttribute, moveToCpu } from './one-cpu.js'
import type { AttributeGroup, Pmu, TaskContextNumber } from './pmu.js'

/** A thread that is counted. */
export interface Thread {
  readonly tid: number
  /** The process it belongs to. */
  readonly tgid: number
}

/** One event of a counting PMU. */
export interface CountedEvent<Target> {
  /** By the rule of src/perf/names.ts: `write_calls`, `energy-pkg`. */
  readonly name: string
  /** What a count of one means, for `events/NAME.unit`: `Bytes`. */
  readonly unit?: string
  /** A decimal factor that perf multiplies counts by, for `events/NAME.scale`: `0.001`. */
  readonly scale?: string
  /**
   * The statistic's value now, which only grows, from whatever origin. Undefined, or a thrown ENOENT or ESRCH: it
   * cannot be read. A read is EIO then, and the next one that can be has it all; where a thread has ended, its events
   * keep the counts that they have. It must not block.
   */
  count(target: Target): bigint | undefined
}

/** What a counting PMU is made of. */
export interface CountingPmu<Target> {
  /** Its folder's name under devices/: `io`. */
  readonly name: string
  /** In the order of their ids; only ever appended to. */
  readonly events: readonly CountedEvent<Target>[]
}

/** How PMUs differ by what they count. */
interface Scope<Target> {
  readonly task_ctx_nr: TaskContextNumber
  readonly groups: readonly AttributeGroup[]
  targetOf(event: PerfEvent): Target | Failure
}

/** What `pmu_private` holds. */
interface Counter {
  readonly name: string
  value(): bigint | undefined
  /** The value that is folded in already. */
  last: bigint
}

const format: AttributeGroup = { name: 'format', attrs: [textAttribute('event', 'config:0-63')] }

function valueNow<Target>(event: CountedEvent<Target>, target: Target): bigint | undefined {
  try {
    const value: unknown = event.count(target)
    if (typeof value === 'bigint') return wrap64(value)
    if (value === undefined) return undefined
    throw new TypeError(`count() of event "${event.name}" gave ${JSON.stringify(value)}: a bigint is wanted`)
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

/** Folds in what was counted since the last time; false where that cannot be read: the next time has it all. */
function fold(event: PerfEvent): boolean {
  const counter = event.pmu_private as Counter
  const value = counter.value()
  if (value === undefined) return false
  event.count = wrap64(event.count + countBetween(counter.last, value))
  counter.last = value
  return true
}

const unreadable = ({ pmu, pmu_private }: PerfEvent): string =>
  `Event "${(pmu_private as Counter).name}" of PMU "${pmu.name}" cannot be read now`

const isStopped = ({ hw }: PerfEvent): boolean => (hw.state & PERF_HES_STOPPED) !== 0

/** An event begins at a value that was read: what came before the first one that can be is not known. */
function start(event: PerfEvent): Failure | undefined {
  if (!isStopped(event)) return undefined
  const counter = event.pmu_private as Counter
  const value = counter.value()
  if (value === undefined) return new Failure('EIO', unreadable(event))
  counter.last = value
  event.hw.state = 0
  return undefined
}

/** What happens from now on is not counted, whether or not the last value can be read. */
function stop(event: PerfEvent): void {
  if (isStopped(event)) return
  event.hw.state |= PERF_HES_STOPPED | PERF_HES_UPTODATE
  fold(event)
}

function checkEvents<Target>({ name, events }: CountingPmu<Target>): void {
  const names = new Set(events.map(event => event.name))
  if (names.size < events.length)
    throw new ErrnoError('EINVAL', `PMU "${name}" has two events of one name: give each its own`)
}

function countingPmu<Target>(made: CountingPmu<Target>, scope: Scope<Target>): Pmu {
  checkEvents(made)
  const { name, events } = made
  const attrs = events.flatMap((event, id) => eventAttributes(event, `event=${eventIdText(id)}`))
  const groups: readonly AttributeGroup[] = [{ name: 'events', attrs }, format, ...scope.groups]
  orThrow(eventsRefusal(groups))
  return {
    name,
    task_ctx_nr: scope.task_ctx_nr,
    capabilities: PERF_PMU_CAP_NO_INTERRUPT | PERF_PMU_CAP_NO_EXCLUDE,
    attr_groups: groups,
    event_init(event) {
      const { config } = event.attr
      const counted = config < BigInt(events.length) ? events[Number(config)] : undefined
      if (!counted)
        return new Failure(
          'EINVAL',
          `config 0x${config.toString(16)} is no event of PMU "${name}"; see its events/`,
        )
      const target = scope.targetOf(event)
      if (target instanceof Failure) return target
      event.pmu_private = {
        name: counted.name,
        value: () => valueNow(counted, target),
        last: 0n,
      } satisfies Counter
      event.hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE
      return undefined
    },
    add(event, flags) {
      return flags & PERF_EF_START ? start(event) : undefined
    },
    del: stop,
    // Nobody is to be told of a failure: without interrupts there is no sampling event, and so no call of this.
    start: event => {
      start(event)
    },
    stop,
    read: event => {
      if (isStopped(event) || fold(event)) return
      // The thread may have ended since the core has looked: then the last count stays.
      if (!event.hw.target?.isExited) throw new ErrnoError('EIO', unreadable(event))
    },
  }
}

/** A PMU that counts threads: `perf stat -e NAME/EVENT/ -t TID`. */
export const threadPmu = (made: CountingPmu<Thread>): Pmu =>
  countingPmu(made, {
    task_ctx_nr: 'perf_sw_context',
    groups: [],
    targetOf({ hw, cpu }) {
      if (!hw.target)
        return new Failure('EOPNOTSUPP', `PMU "${made.name}" counts threads, no CPUs: give a thread's id`)
      // The kernel would count while the thread is on that CPU; nothing tells user space when that is.
      if (cpu >= 0)
        return new Failure(
          'EOPNOTSUPP',
          `cpu is ${cpu}: which CPU a thread runs on cannot be followed from user space; set it to -1`,
        )
      return hw.target
    },
  })

/** A PMU that counts CPUs: `perf stat -a -e NAME/EVENT/` opens its event on each of them. */
export const cpuPmu = (made: CountingPmu<number>): Pmu =>
  countingPmu(made, { task_ctx_nr: 'perf_invalid_context', groups: [], targetOf: ({ cpu }) => cpu })

/** The one CPU on which what belongs to none is counted, as the kernel's uncore drivers have it. */
const MACHINE_CPU = 0

/** A PMU that counts what belongs to no thread and no CPU: `perf stat -a -e NAME/EVENT/` counts it once. */
export const machinePmu = (made: CountingPmu<void>): Pmu =>
  countingPmu(made, {
    task_ctx_nr: 'perf_invalid_context',
    groups: [{ attrs: [cpumaskAttribute(() => MACHINE_CPU)] }],
    // One on a thread is the core's to refuse.
    targetOf: event => (event.hw.target ? undefined : moveToCpu(event, MACHINE_CPU)),
  })
