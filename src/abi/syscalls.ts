/**
 * System call numbers, for those that libc may lack a function for.
 * Sources: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h (aarch64 uses it as it is).
 */

/** The machines that this program knows, by their names in uname(2). */
export type Machine = 'x86_64' | 'aarch64'

const x86_64 = {
  gettid: 186,
  timer_create: 222,
  timer_settime: 223,
  timer_delete: 226,
  tgkill: 234,
  perf_event_open: 298,
  process_vm_readv: 310,
  seccomp: 317,
  memfd_create: 319,
  statx: 332,
  pidfd_send_signal: 424,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  pidfd_open: 434,
  close_range: 436,
  pidfd_getfd: 438,
} as const

/** A system call that has a number here. */
export type SyscallName = keyof typeof x86_64

/** Every system call that has a number here. */
export const syscallNames = Object.keys(x86_64) as readonly SyscallName[]

const aarch64: Record<SyscallName, number> = {
  gettid: 178,
  timer_create: 107,
  timer_settime: 110,
  timer_delete: 111,
  tgkill: 131,
  perf_event_open: 241,
  process_vm_readv: 270,
  seccomp: 277,
  memfd_create: 279,
  statx: 291,
  pidfd_send_signal: 424,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  pidfd_open: 434,
  close_range: 436,
  pidfd_getfd: 438,
}

const tables: Record<Machine, Record<SyscallName, number>> = { x86_64, aarch64 }

/** The number of a system call on a machine. */
export const syscallNumber = (machine: Machine, name: SyscallName): number => tables[machine][name]
