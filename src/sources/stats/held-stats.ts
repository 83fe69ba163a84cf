/**
 * One statistics descriptor of ours. A count is one pread(2) of eight bytes: the descriptor shares the VMM's open file
 * description, so that its position is not ours to move. It stays readable after the VM's end, with the last counts,
 * and keeps the VM's memory in the kernel until it is closed.
 */
import { errnoOf } from '../../abi/errno.js'
import { log } from '../../log.js'
import { readStatsTable, type StatsTable } from './stats-table.js'

/** What is done with a statistics descriptor of ours. */
export interface StatsFiles {
  /** pread(2): fills `into`, returns the bytes read, throws an ErrnoError. */
  pread(fd: number, into: Uint8Array, position: number): number
  close(fd: number): void
}

const bytes = new Uint8Array(8)
const view = new DataView(bytes.buffer)

export class HeldStats {
  readonly fd: number
  /** Undefined where it could not be read: then there are no counts. */
  readonly table: StatsTable | undefined
  readonly #files: StatsFiles

  /** Takes the descriptor over. */
  constructor(files: StatsFiles, fd: number) {
    this.#files = files
    this.fd = fd
    this.table = this.#readTable()
  }

  count(event: string): bigint | undefined {
    const position = this.table?.positions.get(event)
    if (position === undefined) return undefined
    try {
      const got = this.#files.pread(this.fd, bytes, position)
      return got === bytes.length ? view.getBigUint64(0, true) : undefined
    } catch (error) {
      log.sources('%s "%s": %s', this.table?.id, event, errnoOf(error))
      return undefined
    }
  }

  close(): void {
    try {
      this.#files.close(this.fd)
    } catch (error) {
      log.sources('close of descriptor %d: %s', this.fd, errnoOf(error))
    }
  }

  #readTable(): StatsTable | undefined {
    try {
      return readStatsTable((into, position) => this.#files.pread(this.fd, into, position))
    } catch (error) {
      log.sources('descriptor %d: %s', this.fd, error instanceof Error ? error.message : error)
      return undefined
    }
  }
}
