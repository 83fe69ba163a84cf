/** An open file of the memory client: what a process can do with a descriptor. */
import type { Caller } from '../abi/caller.js'
import { ErrnoError } from '../abi/errno.js'
import {
  fuse_ioctl_in,
  fuse_ioctl_out,
  type fuse_open_out,
  fuse_poll_in,
  fuse_poll_out,
  fuse_read_in,
  fuse_release_in,
  fuse_write_in,
  fuse_write_out,
} from '../abi/fuse.js'
import { FOPEN_NONSEEKABLE, FUSE_POLL_SCHEDULE_NOTIFY, type FuseOpcodeName } from '../abi/fuse-constants.js'
import { _IOC_DIR, _IOC_SIZE } from '../abi/ioctl.js'
import type { Decoded } from '../abi/struct.js'
import { decoded, type MemoryWire, type Pending } from './memory-wire.js'

/** What an ioctl gave. */
export interface IoctlAnswer {
  readonly result: number
  readonly output: Uint8Array
}

/** Where an open file stands. */
export interface OpenedFile {
  readonly wire: MemoryWire
  readonly nodeid: bigint
  readonly caller: Caller
  readonly opened: Decoded<typeof fuse_open_out>
  /** Gives the node's lookups back, at close. */
  forget(): void
}

const utf8 = new TextEncoder()
const MAX_IO = 128 * 1024

/** An open file. Methods in -Later give a reply that may be parked; the others insist on having it. */
export class MemoryFile {
  /** FOPEN_ flags that the server gave. */
  readonly openFlags: number
  /** How often the server woke sleepers on this file. */
  wakes = 0
  readonly #at: OpenedFile
  #position = 0

  constructor(at: OpenedFile) {
    this.#at = at
    this.openFlags = at.opened.open_flags
  }

  /** The same open file in the hands of another process. */
  as(caller: Caller): MemoryFile {
    return new MemoryFile({ ...this.#at, caller })
  }

  /** read(2), or pread(2) where an offset is given. */
  readLater(size: number, offset?: number): Pending<Uint8Array> {
    const from = this.#seek(offset)
    const pending = this.#request(
      'FUSE_READ',
      fuse_read_in.encode({ fh: this.#fh, offset: BigInt(from), size }),
    )
    return decoded(pending, data => {
      if (offset === undefined) this.#position = from + data.length
      return data
    })
  }

  read(size: number = MAX_IO, offset?: number): Uint8Array {
    return this.readLater(size, offset).value()
  }

  /** What one read(2) gives, as text. */
  readText(size: number = MAX_IO, offset?: number): string {
    return new TextDecoder().decode(this.read(size, offset))
  }

  /** lseek(2) from the beginning. */
  seek(position: number): void {
    this.#position = this.#seek(position)
  }

  /** write(2), or pwrite(2) where an offset is given. */
  writeLater(data: string | Uint8Array, offset?: number): Pending<number> {
    const bytes = typeof data === 'string' ? utf8.encode(data) : data
    const from = this.#seek(offset)
    const head = fuse_write_in.encode({ fh: this.#fh, offset: BigInt(from), size: bytes.length })
    return decoded(this.#request('FUSE_WRITE', head, bytes), body => {
      const { size } = fuse_write_out.decode(body)
      if (offset === undefined) this.#position = from + size
      return size
    })
  }

  write(data: string | Uint8Array, offset?: number): number {
    return this.writeLater(data, offset).value()
  }

  /** ioctl(2): `arg` is a number, or the memory that the command's number says it reads. */
  ioctlLater(cmd: number, arg: number | bigint | Uint8Array = 0): Pending<IoctlAnswer> {
    const { isRead, isWrite } = _IOC_DIR(cmd)
    const input = isWrite && typeof arg === 'object' ? arg.subarray(0, _IOC_SIZE(cmd)) : new Uint8Array(0)
    const head = fuse_ioctl_in.encode({
      fh: this.#fh,
      cmd,
      arg: typeof arg === 'object' ? 0n : BigInt(arg),
      in_size: input.length,
      out_size: isRead ? _IOC_SIZE(cmd) : 0,
    })
    return decoded(this.#request('FUSE_IOCTL', head, input), body => ({
      result: fuse_ioctl_out.decode(body).result,
      output: body.subarray(fuse_ioctl_out.size),
    }))
  }

  ioctl(cmd: number, arg?: number | bigint | Uint8Array): IoctlAnswer {
    return this.ioctlLater(cmd, arg).value()
  }

  /** poll(2) without waiting, or going to sleep where `sleep` is set: then `wakes` tells. */
  poll(events: number, sleep = false): number {
    const flags = sleep ? FUSE_POLL_SCHEDULE_NOTIFY : 0
    if (sleep)
      this.#at.wire.sleep(this.#fh, () => {
        this.wakes += 1
      })
    const head = fuse_poll_in.encode({ fh: this.#fh, kh: this.#fh, flags, events })
    return fuse_poll_out.decode(this.#request('FUSE_POLL', head).value()).revents
  }

  /** The last close(2). */
  close(): void {
    const { wire, nodeid } = this.#at
    wire
      .request({ opcode: 'FUSE_RELEASE', nodeid, parts: [fuse_release_in.encode({ fh: this.#fh })] })
      .value()
    this.#at.forget()
  }

  get #fh(): bigint {
    return this.#at.opened.fh
  }

  /** The offset that a request carries; a stream has none. */
  #seek(offset: number | undefined): number {
    const isStream = (this.openFlags & FOPEN_NONSEEKABLE) !== 0
    if (isStream && offset !== undefined) throw new ErrnoError('ESPIPE')
    return isStream ? 0 : (offset ?? this.#position)
  }

  #request(opcode: FuseOpcodeName, ...parts: readonly Uint8Array[]): Pending<Uint8Array> {
    const { wire, nodeid, caller } = this.#at
    return wire.request({ opcode, nodeid, caller, parts })
  }
}
