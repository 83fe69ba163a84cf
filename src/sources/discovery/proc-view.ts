/**
 * What discovery asks of the machine: processes, their descriptors and threads as /proc shows them, and copies of
 * descriptors. Whoever touches the machine implements it; tests give it as text.
 *
 * Processes and threads come and go while they are looked at: whatever is gone, or may not be looked at, is
 * undefined or empty, never an error.
 */
import type { StatsFiles } from '../stats/held-stats.js'

/** A file under /proc/TGID/task/TID. */
export type TaskFile = 'comm' | 'stat' | 'syscall' | 'wchan'

export interface ProcView {
  /** The number of ioctl(2) on this machine, as /proc/TID/syscall shows it: 16 on x86_64, 29 on aarch64. */
  readonly ioctlNumber: number
  /** Every process id. */
  processes(): readonly number[]
  /** The numbers of a process's open descriptors. */
  descriptors(tgid: number): readonly number[]
  /** What /proc/TGID/fd/FD points to: `anon_inode:kvm-vm`. */
  link(tgid: number, fd: number): string | undefined
  /** Every thread id of a process. */
  threads(tgid: number): readonly number[]
  /** A file under /proc/TGID/task/TID, as it is. */
  read(tgid: number, tid: number, file: TaskFile): string | undefined
  /** The arguments in /proc/TGID/cmdline. */
  commandLine(tgid: number): readonly string[]
  /** The process that a thread belongs to: Tgid of /proc/TID/status. */
  processOf(tid: number): number | undefined
}

/** Copies of other processes' descriptors; a copy is only ever read with pread(2), never used for an ioctl. */
export interface Descriptors extends StatsFiles {
  /** Copies a descriptor of another process (pidfd_getfd(2)). Throws an ErrnoError: EPERM, ESRCH, EBADF. */
  take(tgid: number, fd: number): number
  /** What /proc/self/fd/FD points to. */
  ownLink(fd: number): string | undefined
}
