/**
 * Guests that a program's own sources find, kept in step with the list of VMs. It runs in the thread that serves; a
 * source whose guests() throws keeps the guests that it had.
 */
import type { Vm } from '../../kvm/vm.js'
import type { GuestList } from '../guests-core.js'
import { LiveVm } from '../live-vm.js'
import type { VcpuDescription, VmDescription } from '../messages.js'
import { GuardedCounts, guarded, type Report } from './guarded-counts.js'
import type { GuestSource, OwnGuest } from './guest-source.js'

/** What the guests are kept with. */
export interface OwnGuestsOptions {
  readonly vms: GuestList
  /** The start time of a living thread, or undefined where there is none of this id. */
  readonly startTimeOf: (tid: number) => bigint | undefined
  readonly report: Report
}

type Description = Pick<VmDescription, 'key' | 'name' | 'tgid' | 'startTime' | 'isReal' | 'vcpus'>

interface Listed {
  readonly vm: LiveVm
  /** What it was last listed with, as text. */
  text: string
}

const textOf = (vcpus: readonly VcpuDescription[], { source }: Vm): string =>
  [
    ...vcpus.map(({ id, tid, startTime }) => `${id} ${tid} ${startTime}`),
    ...source.events.map(({ name }) => name),
  ].join('\n')

export class OwnGuests {
  readonly #options: OwnGuestsOptions
  readonly #sources: readonly { readonly source: GuestSource; readonly listed: Map<string, Listed> }[]

  constructor(sources: readonly GuestSource[], options: OwnGuestsOptions) {
    this.#options = options
    this.#sources = sources.map(source => ({ source, listed: new Map<string, Listed>() }))
  }

  /** Asks every source who runs now. */
  look(): void {
    for (const { source, listed } of this.#sources) {
      const found = guarded(this.#options.report, 'guests', () => this.#ask(source), undefined)
      if (found) this.#follow(source, listed, found)
    }
  }

  /** Ends every guest, as if all had gone. */
  close(): void {
    for (const { listed } of this.#sources) for (const key of listed.keys()) this.#remove(listed, key)
  }

  /** The guests that live, by key; a process or a thread that has ended is left out. */
  #ask(source: GuestSource): Map<string, readonly [OwnGuest, Description]> {
    const found = new Map<string, readonly [OwnGuest, Description]>()
    for (const guest of source.guests()) {
      const { name, pid, vcpus, isReal = true } = guest
      const startTime = this.#options.startTimeOf(pid)
      if (startTime === undefined) continue
      const key = `${pid} ${startTime} ${name}`
      const living = vcpus.flatMap(({ id, tid }) => {
        const started = this.#options.startTimeOf(tid)
        return started === undefined ? [] : [{ id, tid, startTime: started }]
      })
      found.set(key, [guest, { key, name, tgid: pid, startTime, isReal, vcpus: living }])
    }
    return found
  }

  #follow(
    source: GuestSource,
    listed: Map<string, Listed>,
    found: ReadonlyMap<string, readonly [OwnGuest, Description]>,
  ): void {
    // The dead first: a name that is free again is the next guest's.
    for (const key of listed.keys()) if (!found.has(key)) this.#remove(listed, key)
    for (const [key, [guest, description]] of found) {
      const known = listed.get(key)
      if (known) this.#update(known, description)
      else
        guarded(
          this.#options.report,
          'open',
          () => listed.set(key, this.#add(source, guest, description)),
          undefined,
        )
    }
  }

  #add(source: GuestSource, guest: OwnGuest, description: Description): Listed {
    const counts = new GuardedCounts(source.open(guest), this.#options.report)
    const vm = new LiveVm(description, counts)
    this.#options.vms.add(vm)
    return { vm, text: textOf(description.vcpus, vm) }
  }

  #update(known: Listed, { vcpus }: Description): void {
    const text = textOf(vcpus, known.vm)
    if (text === known.text) return
    known.text = text
    known.vm.update({ vcpus })
    this.#options.vms.update(known.vm)
  }

  #remove(listed: Map<string, Listed>, key: string): void {
    const vm = listed.get(key)?.vm
    listed.delete(key)
    if (!vm) return
    this.#options.vms.remove(vm)
    vm.source.close()
  }
}
