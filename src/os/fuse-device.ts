/**
 * /dev/fuse for the direct transport: FuseDevice of src/fuse/transport.ts. Counterpart: fs/fuse/dev.c.
 *
 * The descriptor must not block: a request that poll(2) saw may vanish before it is read (its caller was killed), and
 * a blocked read would keep the thread from everything else it waits for.
 */
import { ErrnoError, type ErrnoName } from '../abi/errno.js'
import { close, read, write } from './libc.js'

const EMPTY: readonly ErrnoName[] = ['EAGAIN', 'EINTR', 'ENOENT']
const GONE: readonly ErrnoName[] = ['ENODEV', 'ECONNABORTED']
/** EPERM is what a write meets where no mount belongs to the descriptor. */
const NOT_AWAITED: readonly ErrnoName[] = ['ENOENT', 'ENODEV', 'ECONNABORTED', 'EPERM']

const isOne = (error: unknown, names: readonly ErrnoName[]): boolean =>
  error instanceof ErrnoError && names.includes(error.code)

/** The device of one mount. */
export class DevFuse {
  readonly fd: number
  readonly #buffer: Uint8Array

  /** @param bufferSize room for the largest request; the kernel refuses reads that offer too little */
  constructor(fd: number, bufferSize: number) {
    this.fd = fd
    this.#buffer = new Uint8Array(bufferSize)
  }

  receive(): Uint8Array | 'nothing' | 'unmounted' {
    try {
      return this.#buffer.subarray(0, read(this.fd, this.#buffer))
    } catch (error) {
      if (isOne(error, EMPTY)) return 'nothing'
      if (isOne(error, GONE)) return 'unmounted'
      throw error
    }
  }

  send(message: Uint8Array): boolean {
    try {
      write(this.fd, message)
      return true
    } catch (error) {
      if (isOne(error, NOT_AWAITED)) return false
      throw error
    }
  }

  close(): void {
    close(this.fd)
  }
}
