/**
 * Counts of a whole VM from its folder in debugfs, which only root may read, and only where the kernel is not locked
 * down (kernel_lockdown(7)): one file a statistic, those of vCPUs summed by KVM over all of them. Counterpart: kvm_stat_data_open() in virt/kvm/kvm_main.c.
 *
 * Each reading opens the file anew: an open one gives its number once, and has no pread(2). None stays open, since KVM keeps
 * the VM for as long as one is. The folder goes with the VM, and then the last count that was read stays.
 * What the files hold is a number of any type; that it is a count is known by name.
 */
import { errnoOf } from '../../abi/errno.js'
import type { EventDescription, WholeSource } from '../../kvm/vm.js'
import { log } from '../../log.js'

/** What is done with files of debugfs. */
export interface DebugfsFiles {
  /** The text of a file: open(2), read(2), close(2). Throws an error with an errno. */
  readText(path: string): string
}

/** The count in a file of debugfs: a u64 in decimal and a newline; undefined where it holds something else. */
export function parseCount(text: string): bigint | undefined {
  const digits = /^(\d{1,20})\n?$/.exec(text)?.[1]
  return digits === undefined ? undefined : BigInt(digits)
}

export class DebugfsWhole implements WholeSource {
  readonly name = 'debugfs'
  readonly events: readonly EventDescription[]
  readonly #files: DebugfsFiles
  readonly #path: string
  readonly #names: ReadonlySet<string>
  /** What was read last. */
  readonly #last = new Map<string, bigint>()
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
    const count = this.#read(event)
    if (count !== undefined) this.#last.set(event, count)
    return count
  }

  close(): void {
    this.#isClosed = true
  }

  #read(event: string): bigint | undefined {
    const path = `${this.#path}/${event}`
    try {
      return parseCount(this.#files.readText(path))
    } catch (error) {
      log.sources('%s: %s', path, errnoOf(error))
      return this.#isGone(error, path) ? this.#last.get(event) : undefined
    }
  }

  /** ENOENT: the VM has ended. A file that goes between open(2) and read(2) gives EIO: it is looked for again. */
  #isGone(error: unknown, path: string): boolean {
    if (errnoOf(error) !== 'EIO') return errnoOf(error) === 'ENOENT'
    try {
      this.#files.readText(path)
      return false
    } catch (again) {
      return errnoOf(again) === 'ENOENT'
    }
  }
}
