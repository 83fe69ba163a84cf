/** Cuts a stream of bytes into lines. A line that grows beyond a limit ends the stream: its sender is not QEMU. */
import { ErrnoError } from '../../abi/errno.js'

/** An answer for 1024 vCPUs takes about 2 MiB. */
const MAX_LINE = 16 * 1024 * 1024

const NEWLINE = 0x0a

export class Lines {
  readonly #limit: number
  #parts: Uint8Array[] = []
  #length = 0

  constructor(limit = MAX_LINE) {
    this.#limit = limit
  }

  /**
   * Takes bytes in and gives the lines that they end, without their newlines.
   *
   * @throws {ErrnoError} EMSGSIZE when a line is too long
   */
  push(bytes: Uint8Array): string[] {
    const lines: string[] = []
    let start = 0
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      this.#append(bytes.subarray(start, end))
      lines.push(Buffer.concat(this.#parts).toString('utf8').trimEnd())
      this.#parts = []
      this.#length = 0
      start = end + 1
    }
    // What is kept is copied: the bytes are the sender's.
    this.#append(bytes.slice(start))
    return lines
  }

  #append(bytes: Uint8Array): void {
    this.#length += bytes.length
    if (this.#length > this.#limit)
      throw new ErrnoError('EMSGSIZE', `a line is longer than ${this.#limit} bytes`)
    if (bytes.length > 0) this.#parts.push(bytes)
  }
}
