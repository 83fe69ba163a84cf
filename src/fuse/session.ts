/**
 * The beginning and the end of a connection, and what concerns other requests. Counterparts: fuse_send_init() and
 * process_init_reply() in fs/fuse/inode.c, queue_interrupt() in fs/fuse/dev.c.
 */
import { ErrnoError } from '../abi/errno.js'
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  type fuse_init_in_compat,
  type fuse_init_out,
  type fuse_interrupt_in,
} from '../abi/fuse.js'
import {
  FUSE_ABORT_ERROR,
  FUSE_ATOMIC_O_TRUNC,
  FUSE_BIG_WRITES,
  FUSE_MAX_PAGES,
  FUSE_PARALLEL_DIROPS,
} from '../abi/fuse-constants.js'
import type { Decoded } from '../abi/struct.js'
import type { FuseConnection } from './connection.js'
import { MAX_PAGES, MAX_WRITE } from './limits.js'
import type { FuseRequest } from './request.js'

/** Since this version (Linux 3.15) the reply to INIT has the length that is sent here. */
const LEAST_MINOR_VERSION = 23

const WANTED =
  FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_PARALLEL_DIROPS | FUSE_ABORT_ERROR | FUSE_MAX_PAGES

/** The kernel delays requests above this many in the background: a RELEASE must not wait behind others. */
const MAX_BACKGROUND = 0xffff

/**
 * Settles version, flags and sizes. A kernel of a newer major version is told ours and asks again; one that is too
 * old is refused, and every call on the mount then fails with ECONNREFUSED.
 */
export function init(
  _connection: FuseConnection,
  { input }: FuseRequest<Decoded<typeof fuse_init_in_compat>>,
): Partial<Decoded<typeof fuse_init_out>> {
  const { major, minor, max_readahead, flags } = input
  const version = { major: FUSE_KERNEL_VERSION, minor: FUSE_KERNEL_MINOR_VERSION }
  if (major > FUSE_KERNEL_VERSION) return version
  if (major < FUSE_KERNEL_VERSION || minor < LEAST_MINOR_VERSION)
    throw new ErrnoError(
      'EPROTO',
      `the kernel speaks FUSE ${major}.${minor}, ${FUSE_KERNEL_VERSION}.${LEAST_MINOR_VERSION} or newer wanted`,
    )
  return {
    ...version,
    max_readahead,
    flags: flags & WANTED,
    max_background: MAX_BACKGROUND,
    congestion_threshold: MAX_BACKGROUND,
    max_write: MAX_WRITE,
    time_gran: 1,
    max_pages: MAX_PAGES,
  }
}

/** The file system is unmounted: nobody will be there for a result. */
export function destroy(connection: FuseConnection): void {
  connection.cancelParked()
}

/** A signal reached a waiting caller; one that is answered already is no matter. */
export function interrupt(
  connection: FuseConnection,
  { input }: FuseRequest<Decoded<typeof fuse_interrupt_in>>,
): void {
  connection.interrupt(input.unique)
}
