/** ioctl command numbers. Counterpart: include/uapi/asm-generic/ioctl.h (x86 and arm64 use it as it is). */

const NRBITS = 8
const TYPEBITS = 8
const SIZEBITS = 14
const TYPESHIFT = NRBITS
const SIZESHIFT = TYPESHIFT + TYPEBITS
const DIRSHIFT = SIZESHIFT + SIZEBITS

const NONE = 0
const WRITE = 1
const READ = 2

const ioc = (direction: number, type: number, nr: number, size: number): number =>
  ((direction << DIRSHIFT) | (size << SIZESHIFT) | (type << TYPESHIFT) | nr) >>> 0

/** A command without data: its argument is a number. */
export const _IO = (type: number, nr: number): number => ioc(NONE, type, nr, 0)
/** A command that reads `size` bytes from the caller's memory. */
export const _IOW = (type: number, nr: number, size: number): number => ioc(WRITE, type, nr, size)
/** A command that writes `size` bytes to the caller's memory. */
export const _IOR = (type: number, nr: number, size: number): number => ioc(READ, type, nr, size)
/** A command that does both. */
export const _IOWR = (type: number, nr: number, size: number): number => ioc(READ | WRITE, type, nr, size)

/** The size that a command's number carries, in bytes. */
export const _IOC_SIZE = (cmd: number): number => (cmd >>> SIZESHIFT) & ((1 << SIZEBITS) - 1)
/** The type byte that a command's number carries. */
export const _IOC_TYPE = (cmd: number): number => (cmd >>> TYPESHIFT) & ((1 << TYPEBITS) - 1)
/** Which way a command's data goes: `isWrite` from the caller's memory, `isRead` to it. */
export const _IOC_DIR = (cmd: number): { readonly isWrite: boolean; readonly isRead: boolean } => ({
  isWrite: ((cmd >>> DIRSHIFT) & WRITE) !== 0,
  isRead: ((cmd >>> DIRSHIFT) & READ) !== 0,
})
