/**
 * A thread that waits in a trapped system call: its memory, its descriptors, its pid namespace.
 *
 * All of it goes by thread id, which may be another thread's by now: whoever uses what was read asks the listener
 * first whether the caller still waits. Reaching into another process takes the rights of ptrace(2): EPERM.
 */
import { closeSync, openSync } from 'node:fs'
import { ErrnoError, errnoOf } from '../abi/errno.js'
import { O_WRONLY } from '../abi/fs.js'
import type { CallingThread, DescriptorKind } from '../exec/host.js'
import { isPerfmonCapable } from './credentials.js'
import { close, pidfd_getfd, pidfd_open, process_vm_readv, pwrite } from './libc.js'
import { threadStatus } from './proc-stat.js'
import { inodeOn, kindOfDescriptor } from './seccomp-descriptor.js'
import { threadIdFromNamespace } from './seccomp-pid.js'

/** O_EXCL: a pidfd of any thread, not only of a thread group's leader (Linux 6.9). */
const PIDFD_THREAD = 0o200

function openPidfd(tid: number): number {
  try {
    return pidfd_open(tid, PIDFD_THREAD)
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL') throw error
    // The threads of a process have one descriptor table, but for those that called unshare(CLONE_FILES).
    return pidfd_open(threadStatus(tid)?.tgid ?? tid)
  }
}

/** The calling thread of a trapped system call. */
export class TrappedThread implements CallingThread {
  readonly tid: number
  readonly #device: number

  /** @param device of the mount whose files are ours */
  constructor(tid: number, device: number) {
    this.tid = tid
    this.#device = device
  }

  /** The memory from an address; what is not there is missing at the end. */
  readMemory(address: bigint, length: number): Uint8Array {
    const memory = new Uint8Array(length)
    try {
      return memory.subarray(0, process_vm_readv(this.tid, address, memory))
    } catch (error) {
      if (errnoOf(error) === 'EFAULT') return memory.subarray(0, 0)
      throw error
    }
  }

  /** Writes to the memory; where it cannot be written nothing happens, as in the kernel's own put_user(). */
  writeMemory(address: bigint, bytes: Uint8Array, isStillThere: () => boolean): void {
    const memory = openSync(`/proc/${this.tid}/mem`, O_WRONLY)
    try {
      if (isStillThere()) pwrite(memory, bytes, address)
    } catch (error) {
      if (!['EIO', 'EFAULT'].includes(errnoOf(error))) throw error
    } finally {
      closeSync(memory)
    }
  }

  kindOf(fd: number): DescriptorKind {
    return kindOfDescriptor(this.tid, fd, this.#device)
  }

  /** The caller may have put another file in its place since it was looked at. */
  copyOurs(fd: number): number {
    const pidfd = openPidfd(this.tid)
    try {
      const copy = pidfd_getfd(pidfd, fd)
      if (inodeOn(this.#device, `/proc/self/fd/${copy}`) !== undefined) return copy
      close(copy)
      throw new ErrnoError('EBADF')
    } finally {
      close(pidfd)
    }
  }

  /** The thread that the caller calls `pid`, as this process calls it. */
  resolvePid(pid: number): number | undefined {
    return threadIdFromNamespace(this.tid, pid)
  }

  isPerfmonCapable(): boolean {
    const status = threadStatus(this.tid)
    return isPerfmonCapable({ uid: status?.uid.fs ?? 0, gid: status?.gid.fs ?? 0, tid: this.tid })
  }
}
