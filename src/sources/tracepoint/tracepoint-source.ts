/**
 * Counts of KVM's tracepoints, each by a perf event of the kernel's own on the vCPU's thread. Counterpart: the
 * patch's configure_event callback, which has KVM count only while somebody asks for it.
 *
 * The kernel's event exists exactly as long as the count is armed: with nobody counting there is none, and the
 * tracepoint costs the guest nothing. What it has counted by then is kept here, so that a count goes on where it
 * stood. A thread that has ended leaves its last count readable.
 */
import { errnoOf, Failure } from '../../abi/errno.js'
import { wrap64 } from '../../abi/struct.js'
import type { CountSource, CpuCount, EventDescription, Vcpu } from '../../kvm/vm.js'
import { log } from '../../log.js'
import type { TimesOnCpu } from '../../perf/pmu.js'
import type { TracepointCatalogue, TracepointEvent } from './catalogue.js'

/** A thread that is to be counted: the id alone may have become another's. */
export type CountedThread = Pick<Vcpu, 'tid' | 'startTime'>

/** The kernel's perf events, as far as tracepoints are counted with them. */
export interface TracepointCounters {
  /** Begins to count the hits of one thread, on one CPU or with -1, the default, on all, 0 at first. Throws an ErrnoError: EACCES, EMFILE, ESRCH. */
  open(event: Pick<TracepointEvent, 'id' | 'filter'>, thread: CountedThread, cpu?: number): number
  /** What was counted until now. Throws an ErrnoError. */
  read(fd: number): bigint
  /** How long it has counted and the thread ran, and how long of that on the event's CPU. Throws an ErrnoError. */
  times(fd: number): TimesOnCpu
  close(fd: number): void
}

/** An event on one CPU, or with -1 on all; `key` is its own among those of a vCPU. */
interface CountedEvent {
  readonly key: string
  readonly event: string
  readonly cpu: number
}

interface Counter {
  /** What it is of: the event on this CPU, -1 for all. */
  readonly cpu: number
  /** What was counted before the last arming. */
  total: bigint
  /** What was counted when it was read last. */
  last: bigint
  /** The times before the last arming, and now where they could be read. */
  totalTimes: TimesOnCpu
  lastTimes: TimesOnCpu
  /** The kernel's event, while armed. */
  fd: number | undefined
}

const noTimes: TimesOnCpu = { enabled: 0n, running: 0n }

export class TracepointSource implements CountSource {
  readonly name = 'tracepoint'
  readonly events: readonly EventDescription[]
  readonly problem: string | undefined
  readonly #byName: ReadonlyMap<string, TracepointEvent>
  readonly #counters: TracepointCounters
  /** A vCPU that is gone takes its counts along. */
  readonly #counts = new WeakMap<Vcpu, Map<string, Counter>>()
  readonly #armed = new Set<Counter>()

  constructor({ events, problem }: TracepointCatalogue, counters: TracepointCounters) {
    this.events = events
    this.problem = problem
    this.#byName = new Map(events.map(event => [event.name, event]))
    this.#counters = counters
  }

  canCount(_vcpu: Vcpu, event: string): boolean {
    return this.#byName.has(event)
  }

  get_event_count(vcpu: Vcpu, event: string): bigint | undefined {
    return this.#byName.has(event) ? this.#count(vcpu, event) : undefined
  }

  configure_event(vcpu: Vcpu, event: string, enable: boolean): Failure | undefined {
    return this.#configure(vcpu, { key: event, event, cpu: -1 }, enable)
  }

  /** The kernel itself counts only while the thread is there. */
  onCpu(_vcpu: Vcpu, event: string, cpu: number): CpuCount | undefined {
    if (!this.#byName.has(event)) return undefined
    const what = { key: `${event}@${cpu}`, event, cpu }
    return {
      get_event_count: vcpu => this.#count(vcpu, what.key),
      configure_event: (vcpu, enable) => this.#configure(vcpu, what, enable),
      timesOnCpu: vcpu => this.#times(this.#counter(vcpu, what)),
    }
  }

  close(): void {
    for (const counter of this.#armed) this.#disarm(counter)
  }

  #configure(vcpu: Vcpu, what: CountedEvent, enable: boolean): Failure | undefined {
    const counter = this.#counter(vcpu, what)
    if (enable) return this.#arm(counter, vcpu, what.event)
    this.#disarm(counter)
    return undefined
  }

  #count(vcpu: Vcpu, key: string): bigint | undefined {
    const counter = this.#counts.get(vcpu)?.get(key)
    return counter === undefined ? 0n : this.#read(counter)
  }

  #counter(vcpu: Vcpu, { key, cpu }: CountedEvent): Counter {
    const ofVcpu = this.#counts.get(vcpu) ?? new Map<string, Counter>()
    const counter = ofVcpu.get(key) ?? {
      cpu,
      total: 0n,
      last: 0n,
      totalTimes: noTimes,
      lastTimes: noTimes,
      fd: undefined,
    }
    this.#counts.set(vcpu, ofVcpu.set(key, counter))
    return counter
  }

  #arm(counter: Counter, vcpu: Vcpu, event: string): Failure | undefined {
    const tracepoint = this.#byName.get(event)
    if (!tracepoint) return new Failure('EOPNOTSUPP', `No tracepoint counts "${event}"`)
    if (counter.fd !== undefined) return undefined
    try {
      counter.fd = this.#counters.open(tracepoint, vcpu, counter.cpu)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return new Failure(errnoOf(error), `Cannot count "${event}" of vCPU thread ${vcpu.tid}: ${why}`)
    }
    this.#armed.add(counter)
    return undefined
  }

  #disarm(counter: Counter): void {
    const { fd } = counter
    if (fd === undefined) return
    // A count that cannot be read at the end is what it was when it last could be.
    counter.total = this.#read(counter) ?? counter.last
    if (counter.cpu >= 0) counter.totalTimes = this.#times(counter)
    counter.fd = undefined
    this.#armed.delete(counter)
    this.#counters.close(fd)
  }

  #times(counter: Counter): TimesOnCpu {
    const { totalTimes, fd } = counter
    if (fd === undefined) return totalTimes
    try {
      const { enabled, running } = this.#counters.times(fd)
      counter.lastTimes = { enabled: totalTimes.enabled + enabled, running: totalTimes.running + running }
    } catch (error) {
      log.sources('perf event %d: times: %s', fd, errnoOf(error))
    }
    return counter.lastTimes
  }

  #read(counter: Counter): bigint | undefined {
    const { total, fd } = counter
    if (fd === undefined) return total
    try {
      counter.last = wrap64(total + this.#counters.read(fd))
      return counter.last
    } catch (error) {
      log.sources('perf event %d: %s', fd, errnoOf(error))
      return undefined
    }
  }
}
