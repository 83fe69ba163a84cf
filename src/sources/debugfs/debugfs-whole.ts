/**
 * Counts of a whole VM from its folder in debugfs, which only root may read, and only where the kernel is not locked
 * down (kernel_lockdown(7)): one file a statistic, those of vCPUs summed by KVM over all of them. Counterpart: kvm_stat_data_open() in virt/kvm/kvm_main.c.
 *
 * A file stays open from its first use to the VM's end: KVM keeps the VM for as long as one is, so that the last count
 * can be read after the VMM's end. What the files hold is a number of any type; that it is a count is known by name.
 */
import { errnoOf } from '../../abi/errno.js'
import type { EventDescription, WholeSource } from '../../kvm/vm.js'
import { log } from '../../log.js'
import type { StatsFiles } from '../stats/held-stats.js'

/** What is done with files of debugfs. */
export interface DebugfsFiles extends StatsFiles {
  /** open(2) for reading. */
  openToRead(path: string): number
}

/** A u64 in decimal and a newline. */
const SIZE = 32
const text = new TextDecoder('latin1')

export class DebugfsWhole implements WholeSource {
  readonly name = 'debugfs'
  readonly events: readonly EventDescription[]
  readonly #files: DebugfsFiles
  readonly #path: string
  readonly #names: ReadonlySet<string>
  readonly #open = new Map<string, number>()
  readonly #bytes = new Uint8Array(SIZE)
  #isClosed = false

  /** @param path the VM's folder */
  constructor(files: DebugfsFiles, path: string, events: readonly EventDescription[]) {
    this.#files = files
    this.#path = path
    this.events = events
    this.#names = new Set(events.map(({ name }) => name))
  }

  get_event_count(event: string): bigint | undefined {
    if (this.#isClosed || !this.#names.has(event)) return undefined
    try {
      const got = this.#files.pread(this.#fdOf(event), this.#bytes, 0)
      const digits = /^(\d{1,20})\n$/.exec(text.decode(this.#bytes.subarray(0, got)))?.[1]
      return digits === undefined ? undefined : BigInt(digits)
    } catch (error) {
      log.sources('%s/%s: %s', this.#path, event, errnoOf(error))
      return undefined
    }
  }

  close(): void {
    this.#isClosed = true
    for (const fd of this.#open.values()) this.#files.close(fd)
    this.#open.clear()
  }

  #fdOf(event: string): number {
    const open = this.#open.get(event)
    if (open !== undefined) return open
    const fd = this.#files.openToRead(`${this.#path}/${event}`)
    this.#open.set(event, fd)
    return fd
  }
}
