/**
 * Calls into libc. Everything that this program asks of the kernel and Node has no function for goes through here.
 *
 * koffi is loaded at the first call, once in each thread that calls, so that a module which only mentions this one
 * needs no native add-on. A function gives what the C function gives, and throws an ErrnoError where that is -1.
 * Memory passed to a call stays where it is until the call returns; an address kept by the kernel or inside another
 * structure does not keep its memory alive: the caller holds on to that itself.
 */
import { createRequire } from 'node:module'
import { ErrnoError, errnoName, strerror } from '../abi/errno.js'
import { type Machine, type SyscallName, syscallNumber } from '../abi/syscalls.js'

type Koffi = typeof import('koffi')
type KoffiFunction = ReturnType<ReturnType<Koffi['load']>['func']>

/** One argument of a call: a number, an address, or memory of ours. A string is passed as a C string. */
export type Argument = number | bigint | ArrayBufferView | string | null

/** A C function as koffi binds it: a 64-bit result that fits is a number. */
type CFunction = (...values: Argument[]) => number | bigint

let loaded: { readonly koffi: Koffi; readonly library: ReturnType<Koffi['load']> } | undefined

function native() {
  if (loaded) return loaded
  const koffi: Koffi = createRequire(import.meta.url)('koffi')
  loaded = { koffi, library: koffi.load(null) }
  return loaded
}

/** Binds a C function at its first call: `bind('close', 'int', ['int'])`. `void *` takes any Argument. */
export function bind(name: string, result: string, parameters: readonly string[]): CFunction {
  let bound: CFunction | undefined
  return (...values) => {
    bound ??= native().library.func(name, result, [...parameters]) as CFunction
    return bound(...values)
  }
}

/** Binds a C function that blocks, to be called in a thread of libuv's pool: its result, whatever it means. */
export function bindAsync(name: string, result: string, parameters: readonly string[]) {
  let bound: KoffiFunction | undefined
  return (...values: Argument[]): Promise<number> => {
    bound ??= native().library.func(name, result, [...parameters])
    const call = bound
    return new Promise((resolve, reject) => {
      call.async(...values, (error: unknown, value: number) => (error ? reject(error) : resolve(value)))
    })
  }
}

/** The error number that the last call in this thread left. */
const lastErrno = (): number => native().koffi.errno()

/** The error that a failed call left behind, named after the call. */
export function lastError(call: string): ErrnoError {
  const number = lastErrno()
  const code = errnoName(number)
  if (code === undefined) return new ErrnoError('EIO', `${call}: unknown error ${number}`, { syscall: call })
  return new ErrnoError(code, `${call}: ${strerror(code)}`, { syscall: call })
}

/** Binds a C function whose result fits a number and is -1 where it failed: that throws. */
export function bindChecked(name: string, parameters: readonly string[], result = 'int') {
  const call = bind(name, result, parameters)
  return (...values: Argument[]): number => {
    const value = Number(call(...values))
    if (value === -1) throw lastError(name)
    return value
  }
}

/** The address of memory of ours; it is good for as long as the caller keeps that memory. */
export const addressOf = (memory: ArrayBufferView): bigint => native().koffi.address(memory)

const held = new Set<readonly ArrayBufferView[]>()

/** Runs a call whose arguments name this memory by address alone: it is not collected meanwhile. */
export function holding<T>(memory: readonly ArrayBufferView[], run: () => T): T {
  held.add(memory)
  try {
    return run()
  } finally {
    held.delete(memory)
  }
}

/** Memory that is not JavaScript's (of mmap), without a copy. It must not be used after munmap. */
export const memoryAt = (address: bigint, length: number): ArrayBuffer => native().koffi.view(address, length)

const pointer = 'void *'

// fcntl, ioctl, open, prctl and syscall are variadic in C. On the machines that this program knows a variadic call
// passes integers as any other does, so that they are bound with the arguments they take.

const c = {
  close: bindChecked('close', ['int']),
  read: bindChecked('read', ['int', pointer, 'size_t'], 'long'),
  write: bindChecked('write', ['int', pointer, 'size_t'], 'long'),
  pread: bindChecked('pread', ['int', pointer, 'size_t', 'int64_t'], 'long'),
  pwrite: bindChecked('pwrite', ['int', pointer, 'size_t', 'int64_t'], 'long'),
  open: bindChecked('open', ['str', 'int', 'uint']),
  fcntl: bindChecked('fcntl', ['int', 'int', pointer]),
  ioctl: bindChecked('ioctl', ['int', 'unsigned long', pointer]),
  poll: bind('poll', 'int', [pointer, 'unsigned long', 'int']),
  eventfd: bindChecked('eventfd', ['uint', 'int']),
  epoll_create1: bindChecked('epoll_create1', ['int']),
  epoll_ctl: bindChecked('epoll_ctl', ['int', 'int', 'int', pointer]),
  epoll_wait: bindChecked('epoll_wait', ['int', pointer, 'int', 'int']),
  prctl: bindChecked('prctl', ['int', pointer, pointer, pointer, pointer]),
  mmap: bind('mmap', pointer, [pointer, 'size_t', 'int', 'int', 'int', 'int64_t']),
  munmap: bindChecked('munmap', [pointer, 'size_t']),
  mount: bindChecked('mount', ['str', 'str', 'str', 'unsigned long', 'str']),
  umount2: bindChecked('umount2', ['str', 'int']),
  unshare: bindChecked('unshare', ['int']),
  syscall: bind('syscall', 'long', ['long', pointer, pointer, pointer, pointer, pointer, pointer]),
}

/** close(2) */
export const close = (fd: number): number => c.close(fd)
/** open(2); close-on-exec is the caller's to ask for. */
export const open = (path: string, flags: number, mode = 0): number => c.open(path, flags, mode)
/** read(2) into the whole of `into`. */
export const read = (fd: number, into: ArrayBufferView): number => c.read(fd, into, into.byteLength)
/** write(2) of the whole of `from`. */
export const write = (fd: number, from: ArrayBufferView): number => c.write(fd, from, from.byteLength)
/** pread(2) into the whole of `into`. */
export const pread = (fd: number, into: ArrayBufferView, position: number): number =>
  c.pread(fd, into, into.byteLength, position)
/** pwrite(2) of the whole of `from`. */
export const pwrite = (fd: number, from: ArrayBufferView, position: number | bigint): number =>
  c.pwrite(fd, from, from.byteLength, position)
/** fcntl(2) */
export const fcntl = (fd: number, command: number, argument: Argument = 0): number =>
  c.fcntl(fd, command, argument)
/** ioctl(2), with a number or with memory, as the command wants it. */
export const ioctl = (fd: number, command: number, argument: Argument = 0): number =>
  c.ioctl(fd, command, argument)
/** eventfd(2) */
export const eventfd = (initial: number, flags: number): number => c.eventfd(initial, flags)
/** epoll_create1(2) */
export const epoll_create1 = (flags: number): number => c.epoll_create1(flags)
/** epoll_ctl(2) */
export const epoll_ctl = (epfd: number, op: number, fd: number, event: Uint8Array | null): number =>
  c.epoll_ctl(epfd, op, fd, event)
/** epoll_wait(2) */
export const epoll_wait = (epfd: number, events: Uint8Array, max: number, timeout: number): number =>
  c.epoll_wait(epfd, events, max, timeout)
/** prctl(2), of the calling thread. */
export const prctl = (option: number, ...args: readonly Argument[]): number =>
  c.prctl(option, args[0] ?? 0, args[1] ?? 0, args[2] ?? 0, args[3] ?? 0)
/** munmap(2) */
export const munmap = (address: bigint, length: number): number => c.munmap(address, length)
/** mount(2); a string that is not wanted is null. */
export const mount = (source: string, target: string, type: string | null, options: MountOptions): number =>
  c.mount(source, target, type, options.flags, options.data ?? null)
/** umount2(2) */
export const umount2 = (target: string, flags: number): number => c.umount2(target, flags)
/** unshare(2), of the calling thread. */
export const unshare = (flags: number): number => c.unshare(flags)

/** The last two arguments of mount(2): MS_ flags and the file system's own options. */
export interface MountOptions {
  readonly flags: number
  readonly data?: string
}

/**
 * poll(2) over `count` pollfd structures, with a timeout in milliseconds (-1: none); how many are ready.
 * A wait that a signal interrupted reads as one that timed out.
 */
export function poll(fds: Uint8Array, count: number, timeout: number): number {
  const ready = Number(c.poll(fds, count, timeout))
  if (ready >= 0) return ready
  const error = lastError('poll')
  if (error.code === 'EINTR') return 0
  throw error
}

/** What mmap(2) is asked for; PROT_ and MAP_ bits. */
interface Mapping {
  readonly length: number
  readonly protection: number
  readonly flags: number
  readonly fd: number
  readonly offset?: number
}

const MAP_FAILED = 0xffff_ffff_ffff_ffffn

/** mmap(2) where the kernel likes: the address. */
export function mmap({ length, protection, flags, fd, offset = 0 }: Mapping): bigint {
  const address = BigInt(c.mmap(null, length, protection, flags, fd, offset))
  if (address === MAP_FAILED) throw lastError('mmap')
  return address
}

const machines: Partial<Record<NodeJS.Architecture, Machine>> = { x64: 'x86_64', arm64: 'aarch64' }

/** The machine that this program runs on. Throws EOPNOTSUPP on one whose numbers it does not know. */
export function machine(): Machine {
  const known = machines[process.arch]
  if (known === undefined)
    throw new ErrnoError(
      'EOPNOTSUPP',
      `Cannot make system calls on "${process.arch}": only x64 and arm64 are known`,
    )
  return known
}

/** A system call by its name, with up to six arguments. */
export function syscall(name: SyscallName, ...args: readonly Argument[]): number {
  const [a = 0, b = 0, d = 0, e = 0, f = 0, g = 0] = args
  const value = Number(c.syscall(syscallNumber(machine(), name), a, b, d, e, f, g))
  if (value === -1) throw lastError(name)
  return value
}

/** The calling thread's id. */
export const gettid = (): number => syscall('gettid')
/** perf_event_open(2) with an encoded perf_event_attr. */
export const perf_event_open = (attr: Uint8Array, target: PerfTarget): number =>
  syscall('perf_event_open', attr, target.pid, target.cpu, target.group_fd ?? -1, target.flags ?? 0)
/** pidfd_open(2) */
export const pidfd_open = (pid: number, flags = 0): number => syscall('pidfd_open', pid, flags)
/** pidfd_getfd(2): a copy of another process's descriptor, close-on-exec. */
export const pidfd_getfd = (pidfd: number, fd: number): number => syscall('pidfd_getfd', pidfd, fd, 0)
/** memfd_create(2) */
export const memfd_create = (name: string, flags: number): number => syscall('memfd_create', name, flags)

/** The arguments of perf_event_open(2) behind the attr. */
interface PerfTarget {
  readonly pid: number
  readonly cpu: number
  readonly group_fd?: number
  readonly flags?: number | bigint
}

/** process_vm_readv(2) of one range of another process's memory; how many bytes were read. */
export function process_vm_readv(pid: number, address: bigint, into: Uint8Array): number {
  const length = BigInt(into.byteLength)
  const local = new BigUint64Array([addressOf(into), length])
  const remote = new BigUint64Array([address, length])
  return holding([into], () => syscall('process_vm_readv', pid, local, 1, remote, 1, 0))
}
