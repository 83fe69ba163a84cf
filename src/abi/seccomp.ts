/**
 * Seccomp filters with user notification: constants, layouts, ioctl numbers.
 * Counterparts: include/uapi/linux/seccomp.h, include/uapi/linux/audit.h, and the system call tables.
 */
import { _IOW, _IOWR } from './ioctl.js'
import { array, s32, s64, struct, u16, u32, u64 } from './struct.js'
import { type Machine, syscallNumber } from './syscalls.js'

/** First argument of seccomp(2). */
export const SECCOMP_SET_MODE_FILTER = 1
export const SECCOMP_GET_NOTIF_SIZES = 3

/** Flags of SECCOMP_SET_MODE_FILTER. */
export const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 0x4
export const SECCOMP_FILTER_FLAG_NEW_LISTENER = 0x8
/** Linux 5.19: once a notification was received, only a fatal signal interrupts the caller. */
export const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20

/** What a filter returns. */
export const SECCOMP_RET_USER_NOTIF = 0x7fc0_0000
export const SECCOMP_RET_ALLOW = 0x7fff_0000

/** What a filter sees of a system call. */
export const seccomp_data = struct('seccomp_data', 64, {
  nr: s32,
  arch: u32,
  instruction_pointer: u64,
  args: array(u64, 6),
})

/** A notification; `pid` is a thread id, in the pid namespace of whoever receives it. */
export const seccomp_notif = struct('seccomp_notif', 80, {
  id: u64,
  pid: u32,
  flags: u32,
  data: seccomp_data,
})

/** An answer: `error` is negative, and `val` is what the call returns where `error` is 0. */
export const seccomp_notif_resp = struct('seccomp_notif_resp', 24, {
  id: u64,
  val: s64,
  error: s32,
  flags: u32,
})

/** A descriptor to install in the caller. */
export const seccomp_notif_addfd = struct('seccomp_notif_addfd', 24, {
  id: u64,
  flags: u32,
  srcfd: u32,
  newfd: u32,
  newfd_flags: u32,
})

/** What SECCOMP_GET_NOTIF_SIZES answers: later kernels may have larger structures. */
export const seccomp_notif_sizes = struct('seccomp_notif_sizes', 6, {
  seccomp_notif: u16,
  seccomp_notif_resp: u16,
  seccomp_data: u16,
})

/** Of seccomp_notif_resp: the system call runs as if there were no filter. */
export const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1
/** Of seccomp_notif_addfd: the number of the new descriptor is the answer. */
export const SECCOMP_ADDFD_FLAG_SEND = 2

const IOC_MAGIC = 0x21
export const SECCOMP_IOCTL_NOTIF_RECV = _IOWR(IOC_MAGIC, 0, seccomp_notif.size)
export const SECCOMP_IOCTL_NOTIF_SEND = _IOWR(IOC_MAGIC, 1, seccomp_notif_resp.size)
export const SECCOMP_IOCTL_NOTIF_ID_VALID = _IOW(IOC_MAGIC, 2, 8)
export const SECCOMP_IOCTL_NOTIF_ADDFD = _IOW(IOC_MAGIC, 3, seccomp_notif_addfd.size)

/** How a filter tells the system calls of a machine's native programs from all others. */
export interface SyscallAbi {
  readonly auditArch: number
  readonly perf_event_open: number
  readonly ioctl: number
  readonly prctl: number
}

/** x32 shares AUDIT_ARCH_X86_64 and sets bit 30 of the number, so that it equals none of these. */
const abis: Record<Machine, SyscallAbi> = {
  x86_64: {
    auditArch: 0xc000_003e,
    perf_event_open: syscallNumber('x86_64', 'perf_event_open'),
    ioctl: 16,
    prctl: 157,
  },
  aarch64: {
    auditArch: 0xc000_00b7,
    perf_event_open: syscallNumber('aarch64', 'perf_event_open'),
    ioctl: 29,
    prctl: 167,
  },
}

/** The native system call interface of a machine. */
export const syscallAbi = (machine: Machine): SyscallAbi => abis[machine]
