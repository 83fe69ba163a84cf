/**
 * Guests, in the thread that serves: makes VMs of what the main thread finds, keeps the list of them, and hands
 * requests to the main thread. Everything runs in receive(), synchronously.
 */
import { Failure } from '../abi/errno.js'
import type { CountSource, Vm, WholeSource } from '../kvm/vm.js'
import type { Refresher } from '../perf/pmu.js'
import { ComposedSource } from './composed-source.js'
import { ComposedWhole } from './composed-whole.js'
import { type DebugfsFiles, DebugfsWhole } from './debugfs/debugfs-whole.js'
import { LiveVm } from './live-vm.js'
import type { CountScope, ToCore, ToMain, VmCounts, VmDescription, WholeDescription } from './messages.js'
import { QmpSource, QmpWhole } from './qmp/qmp-source.js'
import type { StatsFiles } from './stats/held-stats.js'
import { StatsSource, StatsWhole } from './stats/stats-source.js'
import { Tickets } from './tickets.js'
import type { TracepointCatalogue } from './tracepoint/catalogue.js'
import { type TracepointCounters, TracepointSource } from './tracepoint/tracepoint-source.js'

/** The list of VMs, as far as it is kept here. */
export interface GuestList {
  add(vm: Vm): unknown
  /** The VM's vCPUs have changed; those that went can still be read. */
  update(vm: Vm): void
  /** The VM has gone; it can still be read until this returns. */
  remove(vm: Vm): void
}

/** What the core's side needs. */
export interface GuestsCoreOptions {
  readonly vms: GuestList
  readonly files: StatsFiles & DebugfsFiles
  /** What tracepoints can count, and what counts them; absent: they are not to be used. */
  readonly tracepoints?:
    | { readonly catalogue: TracepointCatalogue; readonly counters: TracepointCounters }
    | undefined
  readonly post: (message: ToMain) => void
}

interface Guest {
  readonly vm: LiveVm
  /** What gives its statistics, the first of the VM's sources. */
  readonly statistics: StatsSource | QmpSource
  /** The sources of `vm.whole` by what they were made from, the best first. */
  wholes: ReadonlyMap<string, WholeSource>
}

/** Tells one description from another: a descriptor of ours or a path names what it names for as long as it is told. */
const textOf = (whole: WholeDescription): string => JSON.stringify(whole)

function joined(wholes: Guest['wholes']): WholeSource | undefined {
  const [first, ...others] = wholes.values()
  return first && others.length > 0 ? new ComposedWhole([first, ...others]) : first
}

type Handlers = { readonly [K in ToCore['kind']]: (message: Extract<ToCore, { kind: K }>) => void }

export class GuestsCore {
  /** Looks for guests anew: ends when whatever the look found is in the list. */
  readonly scanRefresher: Refresher
  readonly #options: GuestsCoreOptions
  readonly #tickets: Tickets
  readonly #guests = new Map<string, Guest>()
  /** Which VM's counts a ticket is to bring. */
  readonly #fetches = new Map<number, string>()

  readonly #handlers: Handlers = {
    'vm-added': ({ vm }) => this.#add(vm),
    'vm-changed': ({ vm }) => this.#change(vm),
    'vm-removed': ({ key }) => this.#remove(key),
    fetched: ({ ticket, scope, counts }) => {
      this.#update(this.#guests.get(this.#fetches.get(ticket) ?? ''), scope, counts)
      this.#answer(ticket)
    },
    'fetch-failed': ({ ticket, code, message }) => this.#answer(ticket, new Failure(code, message)),
    scanned: ({ ticket }) => this.#answer(ticket),
  }

  constructor(options: GuestsCoreOptions) {
    this.#options = options
    this.#tickets = new Tickets(message => {
      if (message.kind === 'fetch') this.#fetches.set(message.ticket, message.key)
      options.post(message)
    })
    this.scanRefresher = {
      refresh: done => this.#tickets.ask(ticket => ({ kind: 'scan', ticket }), done),
    }
  }

  /** Takes a message of the main thread. */
  receive(message: ToCore): void {
    const handle = this.#handlers[message.kind] as (message: ToCore) => void
    handle(message)
  }

  /** Ends every VM, as if all had gone. */
  close(): void {
    for (const key of this.#guests.keys()) this.#remove(key)
  }

  #add(description: VmDescription): void {
    if (this.#guests.has(description.key)) return
    const statistics = this.#statisticsOf(description)
    const vm = new LiveVm(description, new ComposedSource([statistics, ...this.#tracepointsOf(description)]))
    const wholes = this.#wholesOf(description, new Map())
    vm.whole = joined(wholes)
    this.#guests.set(description.key, { vm, statistics, wholes })
    this.#options.vms.add(vm)
  }

  #statisticsOf({ key, source, vcpus, events, statsProblem }: VmDescription): StatsSource | QmpSource {
    if (source === 'qmp') return new QmpSource({ key, events, tickets: this.#tickets })
    return new StatsSource(this.#options.files, vcpus, statsProblem)
  }

  /** Threads of a simulated guest run no KVM, which could raise a tracepoint. */
  #tracepointsOf({ isReal }: VmDescription): CountSource[] {
    const { tracepoints } = this.#options
    return tracepoints && isReal ? [new TracepointSource(tracepoints.catalogue, tracepoints.counters)] : []
  }

  /** The sources of the VM as a whole: those that there were, as far as they are wanted still, and new ones. */
  #wholesOf({ key, whole = [] }: VmDescription, before: Guest['wholes']): Guest['wholes'] {
    return new Map(whole.map(one => [textOf(one), before.get(textOf(one)) ?? this.#wholeOf(key, one)]))
  }

  #wholeOf(key: string, whole: WholeDescription): WholeSource {
    const { files } = this.#options
    if (whole.source === 'stats') return new StatsWhole(files, whole.statsFd)
    if (whole.source === 'debugfs') return new DebugfsWhole(files, whole.path, whole.events)
    return new QmpWhole({ key, events: whole.events, tickets: this.#tickets })
  }

  #update(guest: Guest | undefined, scope: CountScope, counts: VmCounts): void {
    const sources = scope === 'vm' ? guest?.wholes.values() : guest && [guest.statistics]
    for (const source of sources ?? [])
      if (source instanceof QmpSource || source instanceof QmpWhole) source.update(counts)
  }

  #change(description: VmDescription): void {
    const guest = this.#guests.get(description.key)
    if (!guest) return
    const { wholes } = guest
    guest.wholes = this.#wholesOf(description, wholes)
    guest.vm.whole = joined(guest.wholes)
    guest.vm.update(description)
    // Who listens to the list reads the last counts of vCPUs that went and the first ones of those that came.
    if (guest.statistics instanceof StatsSource) guest.statistics.take(description.vcpus)
    this.#options.vms.update(guest.vm)
    if (guest.statistics instanceof StatsSource) guest.statistics.update(description.vcpus)
    for (const [text, whole] of wholes) if (!guest.wholes.has(text)) whole.close()
  }

  #remove(key: string): void {
    const guest = this.#guests.get(key)
    if (!guest) return
    this.#guests.delete(key)
    this.#options.vms.remove(guest.vm)
    guest.vm.source.close()
    guest.vm.whole?.close()
  }

  #answer(ticket: number, failure?: Failure): void {
    this.#fetches.delete(ticket)
    this.#tickets.answer(ticket, failure)
  }
}
