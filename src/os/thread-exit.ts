/**
 * Whether threads have exited, by pidfds of the threads themselves (PIDFD_THREAD, Linux 6.9).
 *
 * Such a pidfd becomes readable when its thread exits, before anybody can have waited for it and before its id is
 * used again, and stays so. All of them sit in one epoll descriptor, for the thread that serves to sleep on.
 */
import { ErrnoError } from '../abi/errno.js'
import { O_EXCL, POLLIN } from '../abi/fs.js'
import { EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLIN, epoll_event, pollfd } from '../abi/poll.js'
import { close, epoll_create1, epoll_ctl, epoll_wait, machine, pidfd_open, poll } from './libc.js'

const PIDFD_THREAD = O_EXCL

/** A pidfd of one thread, or undefined on an older kernel, which has them for processes only. Throws ESRCH. */
export function openThreadPidfd(tid: number): number | undefined {
  try {
    return pidfd_open(tid, PIDFD_THREAD)
  } catch (error) {
    if (error instanceof ErrnoError && (error.code === 'EINVAL' || error.code === 'ENOSYS')) return undefined
    throw error
  }
}

/** Whether the kernel has pidfds of threads. */
export function hasThreadPidfds(): boolean {
  const pidfd = openThreadPidfd(process.pid)
  if (pidfd !== undefined) close(pidfd)
  return pidfd !== undefined
}

/** Asks whether the thread of a pidfd has exited; made once for each, so that asking allocates nothing. */
export function exitProbe(pidfd: number): () => boolean {
  const fds = pollfd.encode({ fd: pidfd, events: POLLIN })
  return () => poll(fds, 1, 0) > 0
}

const EVENTS = 64

/** Pidfds of threads, and the one descriptor that tells of all their exits. Closing a pidfd takes it out. */
export class ExitSet {
  /** Readable while a thread in the set has exited. */
  readonly fd = epoll_create1(EPOLL_CLOEXEC)
  readonly #layout = epoll_event(machine())
  readonly #events = new Uint8Array(EVENTS * this.#layout.size)

  add(pidfd: number): void {
    epoll_ctl(this.fd, EPOLL_CTL_ADD, pidfd, this.#layout.encode({ events: EPOLLIN, data: pidfd }))
  }

  /** The pidfds whose threads have exited, or some of them where there are many. */
  exited(): number[] {
    const count = epoll_wait(this.fd, this.#events, EVENTS, 0)
    return Array.from(
      { length: count },
      (_, i) => this.#layout.decode(this.#events, i * this.#layout.size).data,
    )
  }

  close(): void {
    close(this.fd)
  }
}
