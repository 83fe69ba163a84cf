/**
 * The supervisor's end of a seccomp filter. See seccomp_unotify(2).
 *
 * A notification's id is the only proof that its caller still waits: every answer to one that does not is ENOENT.
 */
import { setImmediate } from 'node:timers/promises'
import { type ErrnoName, errnoNumber, errnoOf } from '../abi/errno.js'
import { O_CLOEXEC, POLLHUP, POLLIN } from '../abi/fs.js'
import { pollfd } from '../abi/poll.js'
import {
  SECCOMP_ADDFD_FLAG_SEND,
  SECCOMP_GET_NOTIF_SIZES,
  SECCOMP_IOCTL_NOTIF_ADDFD,
  SECCOMP_IOCTL_NOTIF_ID_VALID,
  SECCOMP_IOCTL_NOTIF_RECV,
  SECCOMP_IOCTL_NOTIF_SEND,
  SECCOMP_USER_NOTIF_FLAG_CONTINUE,
  seccomp_notif,
  seccomp_notif_addfd,
  seccomp_notif_resp,
  seccomp_notif_sizes,
} from '../abi/seccomp.js'
import type { Decoded } from '../abi/struct.js'
import type { Listener, Trap } from '../exec/host.js'
import { bindAsync, ioctl, poll, syscall } from './libc.js'

const pollAsync = bindAsync('poll', 'int', ['void *', 'unsigned long', 'int'])

/** The running kernel's own sizes of its structures, where they grew beyond those known here. */
function notificationSizes(): Decoded<typeof seccomp_notif_sizes> {
  const sizes = new Uint8Array(seccomp_notif_sizes.size)
  syscall('seccomp', SECCOMP_GET_NOTIF_SIZES, 0, sizes)
  return seccomp_notif_sizes.decode(sizes)
}

/** A listener that this process holds. */
export class SeccompListener implements Listener {
  readonly #fd: number
  readonly #pollfd: Uint8Array
  readonly #notification: Uint8Array
  readonly #response: Uint8Array

  constructor(fd: number) {
    const sizes = notificationSizes()
    this.#fd = fd
    this.#pollfd = pollfd.encode({ fd, events: POLLIN })
    this.#notification = new Uint8Array(Math.max(sizes.seccomp_notif, seccomp_notif.size))
    this.#response = new Uint8Array(Math.max(sizes.seccomp_notif_resp, seccomp_notif_resp.size))
  }

  /** Waits until a call is trapped; false once no task uses the filter any more. */
  async wait(): Promise<boolean> {
    for (;;) {
      if (poll(this.#pollfd, 1, 0) === 0) await pollAsync(this.#pollfd, 1, -1)
      // A program that never pauses must not keep the answers to others from being given.
      else await setImmediate()
      const { revents } = pollfd.decode(this.#pollfd)
      if ((revents & POLLIN) !== 0) return true
      if ((revents & POLLHUP) !== 0) return false
    }
  }

  /** The next trapped call, or undefined where its caller died since. */
  receive(): Trap | undefined {
    // The kernel refuses memory that is not zeroed.
    this.#notification.fill(0)
    try {
      ioctl(this.#fd, SECCOMP_IOCTL_NOTIF_RECV, this.#notification)
    } catch (error) {
      if (['ENOENT', 'EINTR'].includes(errnoOf(error))) return undefined
      throw error
    }
    const { id, pid, data } = seccomp_notif.decode(this.#notification)
    return { id, tid: pid, nr: data.nr, args: data.args }
  }

  /** Whether the caller still waits for its answer. */
  isWaiting({ id }: Trap): boolean {
    try {
      ioctl(this.#fd, SECCOMP_IOCTL_NOTIF_ID_VALID, new BigUint64Array([id]))
      return true
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw error
    }
  }

  resume({ id }: Trap): void {
    this.#send({ id, flags: SECCOMP_USER_NOTIF_FLAG_CONTINUE })
  }

  complete({ id }: Trap, value: number): void {
    this.#send({ id, val: BigInt(value) })
  }

  refuse({ id }: Trap, code: ErrnoName): void {
    this.#send({ id, error: -errnoNumber(code) })
  }

  /** Installs a copy of `fd` in the caller and answers with its number, in one step. */
  inject({ id }: Trap, fd: number, isCloseOnExec: boolean): void {
    ioctl(
      this.#fd,
      SECCOMP_IOCTL_NOTIF_ADDFD,
      seccomp_notif_addfd.encode({
        id,
        flags: SECCOMP_ADDFD_FLAG_SEND,
        srcfd: fd,
        newfd_flags: isCloseOnExec ? O_CLOEXEC : 0,
      }),
    )
  }

  #send(response: Partial<Decoded<typeof seccomp_notif_resp>>): void {
    this.#response.fill(0)
    ioctl(this.#fd, SECCOMP_IOCTL_NOTIF_SEND, seccomp_notif_resp.encode(response, this.#response))
  }
}
