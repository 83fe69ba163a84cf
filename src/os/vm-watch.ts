/**
 * Tells at once of VMs that come and go: WatchVms of src/sources/vm-watch.ts. KVM's uevents tell of both, and pidfds
 * of the ends of VMMs: KVM keeps a VM whose statistics descriptors somebody else holds, as this program does.
 *
 * Node's event loop cannot wait for descriptors of such kinds, so that a thread of libuv's pool sleeps in poll(2) for
 * it; a doorbell ends that.
 */
import { ErrnoError } from '../abi/errno.js'
import { POLLIN } from '../abi/fs.js'
import {
  AF_NETLINK,
  NETLINK_KOBJECT_UEVENT,
  sockaddr_nl,
  UEVENT_KERNEL_GROUP,
  UEVENT_MESSAGE_SIZE,
} from '../abi/netlink.js'
import { pollfd } from '../abi/poll.js'
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from '../abi/socket.js'
import { log } from '../log.js'
import type { VmWatchHandlers } from '../sources/vm-watch.js'
import { bindAsync, bindChecked, close, pidfd_open, read } from './libc.js'
import { ExitSet } from './thread-exit.js'
import { closeWake, createWake, drain, ring } from './wake.js'

const socket = bindChecked('socket', ['int', 'int', 'int'])
const bindSocket = bindChecked('bind', ['int', 'void *', 'uint'])
const pollAsync = bindAsync('poll', 'int', ['void *', 'unsigned long', 'int'])

/** A socket on which the kernel's uevents arrive, or -1 where it gives none: poll(2) passes over that. */
function ueventSocket(): number {
  let fd = -1
  try {
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT)
    const address = sockaddr_nl.encode({ nl_family: AF_NETLINK, nl_groups: UEVENT_KERNEL_GROUP })
    bindSocket(fd, address, address.length)
    return fd
  } catch (error) {
    log.os('no uevents: %s', error)
    if (fd !== -1) close(fd)
    return -1
  }
}

export class LinuxVmWatch {
  readonly #handlers: VmWatchHandlers
  readonly #uevents = ueventSocket()
  readonly #ends = new ExitSet()
  readonly #bell = createWake()
  readonly #fds = new Uint8Array(3 * pollfd.size)
  readonly #message = new Uint8Array(UEVENT_MESSAGE_SIZE)
  /** Pidfds by process. */
  readonly #followed = new Map<number, number>()
  #isClosed = false

  constructor(handlers: VmWatchHandlers) {
    this.#handlers = handlers
    for (const [slot, fd] of [this.#uevents, this.#ends.fd, this.#bell].entries())
      pollfd.encode({ fd, events: POLLIN }, this.#fds, slot * pollfd.size)
    void this.#run()
  }

  follow(tgids: ReadonlySet<number>): void {
    if (this.#isClosed) return
    for (const tgid of this.#followed.keys()) if (!tgids.has(tgid)) this.#leave(tgid)
    for (const tgid of tgids) if (!this.#followed.has(tgid)) this.#followEnd(tgid)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    ring(this.#bell)
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      await pollAsync(this.#fds, 3, -1)
      drain(this.#bell)
      if (!this.#isClosed) this.#receive()
      if (!this.#isClosed) this.#collectEnds()
    }
    for (const tgid of this.#followed.keys()) this.#leave(tgid)
    this.#ends.close()
    closeWake(this.#bell)
    if (this.#uevents !== -1) close(this.#uevents)
  }

  /** Takes every uevent that has come. */
  #receive(): void {
    if (this.#uevents === -1) return
    try {
      for (;;) {
        const size = read(this.#uevents, this.#message)
        this.#handlers.uevent(this.#message.subarray(0, size))
      }
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error
      // ENOBUFS: there were more than the socket holds.
      if (error.code !== 'EAGAIN') this.#handlers.changed()
    }
  }

  #collectEnds(): void {
    const ended = new Set(this.#ends.exited())
    for (const [tgid, pidfd] of this.#followed) if (ended.has(pidfd)) this.#leave(tgid)
    if (ended.size > 0) this.#handlers.changed()
  }

  #followEnd(tgid: number): void {
    try {
      const pidfd = pidfd_open(tgid)
      this.#followed.set(tgid, pidfd)
      this.#ends.add(pidfd)
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error
      log.os('process %d is not followed: %s', tgid, error.message)
      if (error.code === 'ESRCH') setImmediate(() => this.#isClosed || this.#handlers.changed())
    }
  }

  #leave(tgid: number): void {
    const pidfd = this.#followed.get(tgid)
    this.#followed.delete(tgid)
    if (pidfd !== undefined) close(pidfd)
  }
}
