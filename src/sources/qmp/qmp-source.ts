/**
 * Counts of a QEMU guest in the thread that serves: those of the last snapshot that the main thread sent. A read
 * that must be true asks for a snapshot first, through the refresher.
 */
import type { Failure } from '../../abi/errno.js'
import type { CountSource, EventDescription, Vcpu } from '../../kvm/vm.js'
import type { Refresher } from '../../perf/pmu.js'
import type { VmCounts } from '../messages.js'
import type { Tickets } from '../tickets.js'

export class QmpSource implements CountSource {
  readonly name = 'qmp'
  readonly events: readonly EventDescription[]
  readonly refresher: Refresher
  readonly #columns: ReadonlyMap<string, number>
  readonly #tickets: Tickets
  /** Requests under way, first come first. */
  readonly #waiting = new Map<number, (failure?: Failure) => void>()
  #lastRequest = 0
  #counts: VmCounts = new Map()

  constructor(key: string, events: readonly EventDescription[], tickets: Tickets) {
    this.events = events
    this.#columns = new Map(events.map(({ name }, column) => [name, column]))
    this.#tickets = tickets
    this.refresher = { refresh: done => this.#refresh(key, done) }
  }

  /** Takes a snapshot in. */
  update(counts: VmCounts): void {
    this.#counts = counts
  }

  get_event_count(vcpu: Vcpu, event: string): bigint | undefined {
    const column = this.#columns.get(event)
    return column === undefined ? undefined : this.#counts.get(vcpu.id)?.[column]
  }

  /** KVM keeps its statistics always. */
  configure_event(): undefined {}

  /** The VM is gone: whoever waits goes on with the last counts. */
  close(): void {
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const done of waiting) done()
  }

  #refresh(key: string, done: (failure?: Failure) => void): () => void {
    this.#lastRequest += 1
    const request = this.#lastRequest
    const withdraw = this.#tickets.ask(
      ticket => ({ kind: 'fetch', ticket, key }),
      failure => this.#settle(request, failure),
    )
    this.#waiting.set(request, done)
    return () => {
      this.#waiting.delete(request)
      withdraw()
    }
  }

  #settle(request: number, failure: Failure | undefined): void {
    const done = this.#waiting.get(request)
    this.#waiting.delete(request)
    done?.(failure)
  }
}
