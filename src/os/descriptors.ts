/** Descriptors taken from other processes, and what is done with them: Descriptors of src/sources/discovery. */
import { readlinkSync } from 'node:fs'
import { ErrnoError } from '../abi/errno.js'
import { close, pidfd_getfd, pidfd_open, pread } from './libc.js'

/**
 * A copy of another process's descriptor, close-on-exec; it shares the open file.
 *
 * @throws {ErrnoError} EPERM without the right to trace the process, EBADF where it has no such descriptor, ESRCH where
 * it has ended
 */
export function takeDescriptor(tgid: number, fd: number): number {
  try {
    const pidfd = pidfd_open(tgid)
    try {
      return pidfd_getfd(pidfd, fd)
    } finally {
      close(pidfd)
    }
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error
    const message = `Cannot take descriptor ${fd} of process ${tgid}: ${error.message}`
    throw new ErrnoError(error.code, message, { cause: error })
  }
}

function ownLink(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return undefined
  }
}

/** The descriptors of this machine's processes. */
export const descriptors = { take: takeDescriptor, ownLink, pread, close }
