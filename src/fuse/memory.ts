/**
 * A file system client without a kernel: paths and descriptors over a FuseServer in memory. For tests of whatever
 * is served, and for benchmarks. It walks paths, follows links and forgets nodes as the kernel does.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError } from '../abi/errno.js'
import { O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } from '../abi/fs.js'
import {
  FUSE_DIRENT_ALIGN,
  fuse_access_in,
  type fuse_attr,
  fuse_attr_out,
  fuse_create_in,
  fuse_dirent,
  fuse_entry_out,
  fuse_forget_in,
  fuse_getattr_in,
  fuse_mkdir_in,
  fuse_open_in,
  fuse_open_out,
  fuse_read_in,
  fuse_release_in,
  fuse_setattr_in,
} from '../abi/fuse.js'
import { FATTR_GID, FATTR_MODE, FATTR_SIZE, FATTR_UID, type FuseOpcodeName } from '../abi/fuse-constants.js'
import type { Decoded } from '../abi/struct.js'
import type { AttributeChange, Directory } from '../kernfs/node.js'
import type { Admission } from './connection.js'
import { MemoryFile } from './memory-file.js'
import { type Found, splitLast, walk } from './memory-path.js'
import { decoded, MemoryWire, type Pending } from './memory-wire.js'

/** What stat(2) gives. */
export type Stat = Decoded<typeof fuse_attr>

const ROOT_USER: Caller = { uid: 0, gid: 0, tid: 1 }
const LISTING_SIZE = 4096

/** A process's view of a served tree. Paths start at the root of the mount, without a slash. */
export class MemoryClient {
  readonly wire: MemoryWire
  readonly caller: Caller

  constructor(wire: MemoryWire, caller: Caller) {
    this.wire = wire
    this.caller = caller
  }

  /** The same mount, seen by another process. */
  as(caller: Partial<Caller>): MemoryClient {
    return new MemoryClient(this.wire, { ...this.caller, ...caller })
  }

  /** Opens, reads to the end and closes, as cat(1) does. */
  read(path: string): string {
    const file = this.open(path, O_RDONLY)
    try {
      const pieces: string[] = []
      for (let piece = file.readText(); piece !== ''; piece = file.readText()) pieces.push(piece)
      return pieces.join('')
    } finally {
      file.close()
    }
  }

  /** Opens, writes once and closes, as a shell's `echo TEXT > PATH` does; returns the bytes taken. */
  write(path: string, text: string): number {
    const file = this.open(path, O_WRONLY | O_CREAT | O_TRUNC)
    try {
      return file.write(text)
    } finally {
      file.close()
    }
  }

  /** open(2); the reply may be parked. */
  openLater(path: string, flags: number = O_RDONLY): Pending<MemoryFile> {
    const found = this.#walkToOpen(path, flags)
    const { wire, caller } = this
    const { nodeid } = found
    const pending = this.#request('FUSE_OPEN', nodeid, fuse_open_in.encode({ flags: flags & ~O_CREAT }))
    const open = (reply: Uint8Array) =>
      new MemoryFile({
        wire,
        caller,
        nodeid,
        opened: fuse_open_out.decode(reply),
        forget: () => found.forget(),
      })
    return decoded(pending, open, () => found.forget())
  }

  /** open(2) */
  open(path: string, flags: number = O_RDONLY): MemoryFile {
    return this.openLater(path, flags).value()
  }

  /** The names in a folder, "." and ".." left out. */
  readdir(path: string): string[] {
    return this.#with(path, true, ({ nodeid }) => {
      const opened = this.#request('FUSE_OPENDIR', nodeid, fuse_open_in.encode({})).value()
      const { fh } = fuse_open_out.decode(opened)
      const names: string[] = []
      let offset = 0n
      for (;;) {
        const input = fuse_read_in.encode({ fh, offset, size: LISTING_SIZE })
        const entries = entriesIn(this.#request('FUSE_READDIR', nodeid, input).value())
        if (entries.length === 0) break
        names.push(...entries.map(({ name }) => name))
        offset = entries.at(-1)?.off ?? 0n
      }
      this.#request('FUSE_RELEASEDIR', nodeid, fuse_release_in.encode({ fh })).value()
      return names.filter(name => name !== '.' && name !== '..')
    })
  }

  /** stat(2) */
  stat(path: string): Stat {
    return this.#with(path, true, found => this.#getattr(found))
  }

  /** lstat(2) */
  lstat(path: string): Stat {
    return this.#with(path, false, found => this.#getattr(found))
  }

  /** readlink(2) */
  readlink(path: string): string {
    return this.#with(path, false, ({ nodeid }) =>
      new TextDecoder().decode(this.#request('FUSE_READLINK', nodeid).value()),
    )
  }

  /** access(2); throws EACCES where it would fail. */
  access(path: string, mask: number): void {
    this.#with(path, true, ({ nodeid }) =>
      this.#request('FUSE_ACCESS', nodeid, fuse_access_in.encode({ mask })).value(),
    )
  }

  /** chmod(2), chown(2), truncate(2) */
  change(path: string, { mode, uid, gid, size }: AttributeChange): void {
    const valid =
      (mode === undefined ? 0 : FATTR_MODE) |
      (uid === undefined ? 0 : FATTR_UID) |
      (gid === undefined ? 0 : FATTR_GID) |
      (size === undefined ? 0 : FATTR_SIZE)
    const values = { valid, mode: mode ?? 0, uid: uid ?? 0, gid: gid ?? 0, size: BigInt(size ?? 0) }
    this.#with(path, true, ({ nodeid }) =>
      this.#request('FUSE_SETATTR', nodeid, fuse_setattr_in.encode(values)).value(),
    )
  }

  /** mkdir(2) */
  mkdir(path: string, mode = 0o777): void {
    const input = fuse_mkdir_in.encode({ mode, umask: 0o022 })
    const { nodeid } = fuse_entry_out.decode(this.#inFolder('FUSE_MKDIR', path, input).value())
    this.#request('FUSE_FORGET', nodeid, fuse_forget_in.encode({ nlookup: 1n }))
  }

  /** rmdir(2); the reply may be parked. */
  rmdirLater(path: string): Pending<void> {
    return decoded(this.#inFolder('FUSE_RMDIR', path), () => {})
  }

  /** rmdir(2) */
  rmdir(path: string): void {
    this.rmdirLater(path).value()
  }

  /** unlink(2) */
  unlink(path: string): void {
    this.#inFolder('FUSE_UNLINK', path).value()
  }

  /** With O_CREAT a name that is missing becomes a CREATE, which the server refuses. */
  #walkToOpen(path: string, flags: number): Found {
    try {
      return this.#walk(path, true)
    } catch (error) {
      if (!(flags & O_CREAT && error instanceof ErrnoError && error.code === 'ENOENT')) throw error
      this.#inFolder('FUSE_CREATE', path, fuse_create_in.encode({ flags })).value()
      throw error
    }
  }

  #getattr({ nodeid }: Found): Stat {
    return fuse_attr_out.decode(this.#request('FUSE_GETATTR', nodeid, fuse_getattr_in.encode({})).value())
      .attr
  }

  /** Sends an operation on a name in a folder. */
  #inFolder(opcode: FuseOpcodeName, path: string, ...parts: readonly Uint8Array[]): Pending<Uint8Array> {
    const { folder, name } = splitLast(path)
    return this.#with(folder, true, ({ nodeid }) => this.#request(opcode, nodeid, ...parts, name))
  }

  #with<T>(path: string, followsLast: boolean, use: (found: Found) => T): T {
    const found = this.#walk(path, followsLast)
    try {
      return use(found)
    } finally {
      found.forget()
    }
  }

  #walk(path: string, followsLast: boolean): Found {
    return walk(path, { wire: this.wire, caller: this.caller, followsLast })
  }

  #request(
    opcode: FuseOpcodeName,
    nodeid: bigint,
    ...parts: readonly (Uint8Array | string)[]
  ): Pending<Uint8Array> {
    return this.wire.request({ opcode, nodeid, caller: this.caller, parts })
  }
}

/** The entries of one READDIR reply. */
export function entriesIn(listing: Uint8Array): { readonly name: string; readonly off: bigint }[] {
  const entries: { name: string; off: bigint }[] = []
  for (let at = 0; at + fuse_dirent.size <= listing.length; ) {
    const { off, namelen } = fuse_dirent.decode(listing, at)
    const start = at + fuse_dirent.size
    entries.push({ name: new TextDecoder().decode(listing.subarray(start, start + namelen)), off })
    at = Math.ceil((start + namelen) / FUSE_DIRENT_ALIGN) * FUSE_DIRENT_ALIGN
  }
  return entries
}

/** Mounts a tree in memory and looks at it as `caller`, root by default. The owner is root, and all may enter. */
export function memoryClient(
  root: Directory,
  caller: Partial<Caller> = {},
  admission: Partial<Admission> = {},
): MemoryClient {
  const wire = new MemoryWire(root, { owner: { uid: 0, gid: 0 }, allowOther: true, ...admission })
  return new MemoryClient(wire, { ...ROOT_USER, ...caller })
}
