/**
 * Guests, in the thread that serves: makes VMs of what the main thread finds, keeps the list of them, and hands
 * requests to the main thread. Everything runs in receive(), synchronously.
 */
import { Failure } from '../abi/errno.js'
import type { CountSource, Vm } from '../kvm/vm.js'
import type { Refresher } from '../perf/pmu.js'
import { LiveVm } from './live-vm.js'
import type { ToCore, ToMain, VmDescription } from './messages.js'
import { QmpSource } from './qmp/qmp-source.js'
import { type StatsFiles, StatsSource } from './stats/stats-source.js'
import { Tickets } from './tickets.js'

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
  readonly files: StatsFiles
  readonly post: (message: ToMain) => void
}

interface Guest {
  readonly vm: LiveVm
  readonly source: StatsSource | QmpSource
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
    fetched: ({ ticket, counts }) => {
      const { source } = this.#guests.get(this.#fetches.get(ticket) ?? '') ?? {}
      if (source instanceof QmpSource) source.update(counts)
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
    const source = this.#sourceOf(description)
    const vm = new LiveVm(description, source)
    this.#guests.set(description.key, { vm, source })
    this.#options.vms.add(vm)
  }

  #sourceOf({ key, source, vcpus, events }: VmDescription): StatsSource | QmpSource {
    if (source === 'qmp') return new QmpSource(key, events, this.#tickets)
    return new StatsSource(this.#options.files, vcpus)
  }

  #change(description: VmDescription): void {
    const guest = this.#guests.get(description.key)
    if (!guest) return
    guest.vm.update(description.vcpus)
    // The list first: events on vCPUs that went take their last counts from descriptors that are closed then.
    this.#options.vms.update(guest.vm)
    if (guest.source instanceof StatsSource) guest.source.update(description.vcpus)
  }

  #remove(key: string): void {
    const guest = this.#guests.get(key)
    if (!guest) return
    this.#guests.delete(key)
    this.#options.vms.remove(guest.vm)
    const source: CountSource = guest.source
    source.close()
  }

  #answer(ticket: number, failure?: Failure): void {
    this.#fetches.delete(ticket)
    this.#tickets.answer(ticket, failure)
  }
}
