/**
 * Counts read from the KVM statistics descriptors that a VMM holds open. Counterpart: what the patch's
 * get_event_count callbacks read from struct kvm_vcpu.
 *
 * A count is one pread(2) of eight bytes: the descriptor shares the VMM's open file description, so that its
 * position is not ours to move. It stays readable after the VM's end, with the last counts, and keeps the VM's
 * memory in the kernel until it is closed.
 */
import { errnoOf } from '../../abi/errno.js'
import type { CountSource, EventDescription, Vcpu } from '../../kvm/vm.js'
import { log } from '../../log.js'
import type { VcpuDescription } from '../messages.js'
import { readStatsTable, type StatsTable } from './stats-table.js'

/** What is done with a statistics descriptor of ours. */
export interface StatsFiles {
  /** pread(2): fills `into`, returns the bytes read, throws an ErrnoError. */
  pread(fd: number, into: Uint8Array, position: number): number
  close(fd: number): void
}

interface OpenStats {
  readonly fd: number
  /** Undefined where it could not be read: then the vCPU has no counts. */
  readonly table: StatsTable | undefined
}

export class StatsSource implements CountSource {
  readonly name = 'stats'
  readonly #files: StatsFiles
  readonly #open = new Map<number, OpenStats>()
  readonly #bytes = new Uint8Array(8)
  readonly #view = new DataView(this.#bytes.buffer)
  #events: readonly EventDescription[] = []

  /** Takes the vCPUs' descriptors over, and closes them in the end. */
  constructor(files: StatsFiles, vcpus: readonly VcpuDescription[]) {
    this.#files = files
    this.update(vcpus)
  }

  /** What every vCPU of the VM can count: the kernel gives all of them the same. */
  get events(): readonly EventDescription[] {
    return this.#events
  }

  /** Takes over the descriptors of vCPUs that came, and closes those of vCPUs that went. */
  update(vcpus: readonly VcpuDescription[]): void {
    const wanted = new Map(vcpus.map(({ id, statsFd }) => [id, statsFd]))
    for (const [id, { fd }] of this.#open) {
      if (wanted.get(id) === fd) continue
      this.#open.delete(id)
      this.#close(fd)
    }
    for (const [id, fd] of wanted)
      if (fd !== undefined && !this.#open.has(id)) this.#open.set(id, { fd, table: this.#tableOf(fd) })
    const tables = [...this.#open.values()].flatMap(({ table }) => table ?? [])
    this.#events = (tables[0]?.events ?? []).filter(({ name }) => tables.every(t => t.positions.has(name)))
  }

  get_event_count(vcpu: Vcpu, event: string): bigint | undefined {
    const stats = this.#open.get(vcpu.id)
    const position = stats?.table?.positions.get(event)
    if (stats === undefined || position === undefined) return undefined
    try {
      const got = this.#files.pread(stats.fd, this.#bytes, position)
      return got === this.#bytes.length ? this.#view.getBigUint64(0, true) : undefined
    } catch (error) {
      log.sources('vcpu %d "%s": %s', vcpu.id, event, errnoOf(error))
      return undefined
    }
  }

  /** KVM keeps its statistics always. */
  configure_event(): undefined {}

  close(): void {
    for (const { fd } of this.#open.values()) this.#close(fd)
    this.#open.clear()
  }

  #tableOf(fd: number): StatsTable | undefined {
    try {
      return readStatsTable((into, position) => this.#files.pread(fd, into, position))
    } catch (error) {
      log.sources('descriptor %d: %s', fd, error instanceof Error ? error.message : error)
      return undefined
    }
  }

  #close(fd: number): void {
    try {
      this.#files.close(fd)
    } catch (error) {
      log.sources('close of descriptor %d: %s', fd, errnoOf(error))
    }
  }
}
