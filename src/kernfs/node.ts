/**
 * The nodes of a virtual tree: folders, files and symbolic links, and what an open file does.
 * Nothing here knows of perf, of sysfs's contents or of FUSE. Counterpart: include/linux/kernfs.h.
 *
 * Operations throw an ErrnoError to refuse. What a node does not implement is refused as kernfs refuses it.
 * A node is one object for as long as it exists; its `ino` is never used again, so that two nodes of one name
 * that followed each other are told apart.
 */
import type { Caller } from '../abi/caller.js'
import type { MaybeLater } from './later.js'

/** What stat(2) shows. `size` is what the node claims (4096 for a sysfs attribute), not what a read gives. */
export interface Attributes {
  /** File type and permission bits. */
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  /** Milliseconds since the epoch, for atime, mtime and ctime alike. */
  readonly time: number
}

/** One line of a listing; `type` is a DT_ constant. */
export interface Entry {
  readonly name: string
  readonly ino: bigint
  readonly type: number
}

/** A change of attributes as chmod, chown, truncate and utime ask for it; absent fields stay. */
export interface AttributeChange {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly size?: number
  readonly time?: number
}

interface NodeBase {
  readonly ino: bigint
  attributes(): Attributes
  /** Absent: EPERM. */
  setAttributes?(change: AttributeChange, caller: Caller): void
  /** What it stood for is gone: open files answer ENODEV from now on, and so does everything below a folder. */
  remove?(): void
}

export interface Directory extends NodeBase {
  readonly kind: 'directory'
  /** The node of that name, or undefined: ENOENT. */
  lookup(name: string, caller: Caller): Node | undefined
  /** A snapshot of the listing, without "." and "..". */
  entries(caller: Caller): readonly Entry[]
  /** Absent: EPERM, as in sysfs. */
  mkdir?(name: string, mode: number, caller: Caller): Directory
  /** Absent: EPERM. May take time: what the folder stood for is ended first. */
  rmdir?(name: string, caller: Caller): MaybeLater<void>
}

export interface Symlink extends NodeBase {
  readonly kind: 'symlink'
  readlink(): string
}

export interface File extends NodeBase {
  readonly kind: 'file'
  /** Opens it; `flags` are those of open(2). The caller's right to is checked already. May refuse all the same. */
  open(flags: number, caller: Caller): MaybeLater<OpenFile>
}

export type Node = Directory | Symlink | File

/** An ioctl as FUSE hands it over: sizes are those that `cmd` carries. */
export interface IoctlRequest {
  readonly cmd: number
  /** The argument itself: a number, or an address in the caller's memory. */
  readonly arg: bigint
  /** What the kernel copied from the caller for an _IOW command. */
  readonly input: Uint8Array
  /** How many bytes it will copy back for an _IOR command. */
  readonly outputSize: number
}

export interface IoctlReply {
  /** What ioctl(2) returns, 0 or above. */
  readonly result: number
  readonly output?: Uint8Array
}

/** An open file description: one for each open(2), shared by dup and fork, released once. */
export interface OpenFile {
  /** A stream has no position: lseek, pread and pwrite give ESPIPE, and `offset` is 0. */
  readonly isStream: boolean
  /** Up to `size` bytes from `offset`; fewer (or none) at the end. */
  read(offset: number, size: number, caller: Caller): MaybeLater<Uint8Array>
  /** Takes all of `data` or refuses; returns the bytes taken. `data` is valid during the call only. */
  write(offset: number, data: Uint8Array, caller: Caller): MaybeLater<number>
  /** Absent: ENOTTY. */
  ioctl?(request: IoctlRequest, caller: Caller): MaybeLater<IoctlReply>
  /**
   * The POLL bits that hold now; absent: always readable and writable. Where `wake` is given somebody sleeps:
   * call it once when the answer may have changed.
   */
  poll?(events: number, wake: (() => void) | undefined): number
  /** The last descriptor was closed. */
  release(): void
}

let lastIno = 1n

/** A fresh inode number; 1 is the root's. */
export function newIno(): bigint {
  lastIno += 1n
  return lastIno
}
