/**
 * What exec asks of the machine: the listener of a seccomp filter, the calling program, the mounted tree, the kernel.
 * src/os implements it; tests have a machine of their own. A refusal is thrown as an ErrnoError.
 */
import type { ErrnoName } from '../abi/errno.js'

/** A system call that the filter holds up, with its arguments as the caller's registers have them. */
export interface Trap {
  readonly id: bigint
  /** The calling thread, in this process's pid namespace. */
  readonly tid: number
  readonly nr: number
  readonly args: readonly bigint[]
}

/** Where trapped calls come from and their answers go. An answer to a caller that died meanwhile is ENOENT. */
export interface Listener {
  /** Waits until a call is trapped; false once the last program under the filter is gone. */
  wait(): Promise<boolean>
  /** The next trapped call, or undefined where its caller died meanwhile. */
  receive(): Trap | undefined
  /** Whether the caller still waits: what was read of it under its thread id was then its own. */
  isWaiting(trap: Trap): boolean
  /** Lets the kernel run the call as it stands. */
  resume(trap: Trap): void
  /** Makes the call return `value`. */
  complete(trap: Trap, value: number): void
  /** Makes the call fail. */
  refuse(trap: Trap, code: ErrnoName): void
  /** Installs a copy of `fd` in the caller and makes the call return its number. */
  inject(trap: Trap, fd: number, isCloseOnExec: boolean): void
}

/** The program that a trapped call came from, named by the calling thread. */
export interface CallingThread {
  readonly tid: number
  /** The caller's memory from `address`; fewer bytes than asked for, down to none, where it ends before. */
  readMemory(address: bigint, length: number): Uint8Array
  /**
   * Writes to the caller's memory; where it cannot be written nothing happens. The memory is taken hold of first and
   * `isStillThere` asked then, so that nobody else's is written once the caller is gone.
   */
  writeMemory(address: bigint, bytes: Uint8Array, isStillThere: () => boolean): void
  /** What one of the caller's descriptors is; no file system's server is asked. EBADF where it has none of that number. */
  kindOf(fd: number): DescriptorKind
  /** A copy of one of the caller's descriptors that is of kind `ours`; EBADF where it no longer is. */
  copyOurs(fd: number): number
  /** The thread that the caller calls `pid`, in this process's pid namespace. */
  resolvePid(pid: number): number | undefined
  isPerfmonCapable(): boolean
}

/** What a descriptor is to exec. */
export type DescriptorKind =
  | { readonly kind: 'ours'; readonly ino: bigint }
  | { readonly kind: 'kernel event' }
  | { readonly kind: 'bpf program'; readonly isForPerfEvents: boolean }
  | { readonly kind: 'other' }

/** The mounted tree, as any program sees it. */
export interface MountedTree {
  /** Its device number: two paths to one mount have the same. */
  readonly device: number
  /** Opens `perf_event_open` and writes the request: the event, close-on-exec. */
  openEvent(request: string): Promise<number>
  /** Writes a request that makes no event. */
  tell(request: string): Promise<void>
  /** The types of the PMUs that it shows as its own. */
  readTypes(): Promise<readonly number[]>
}

/** The kernel's own perf, and descriptors. */
export interface Kernel {
  /** sizeof(struct perf_event_attr) in the running kernel, or undefined where it has no perf. */
  readonly attrSize: number | undefined
  /** The types of the kernel's own PMUs. */
  readTypes(): readonly number[]
  /** What the kernel's copy-in says of an attr; where that is E2BIG it wrote its own size into `attr`. */
  judgeAttr(attr: Uint8Array): ErrnoName | undefined
  close(fd: number): void
  /** Does an ioctl on a descriptor of ours; throws its errno. */
  ioctl(fd: number, command: number, argument: number | Uint8Array): number
}

/** The whole machine. */
export interface Host {
  readonly listener: Listener
  readonly tree: MountedTree
  readonly kernel: Kernel
  callingThread(tid: number): CallingThread
}
