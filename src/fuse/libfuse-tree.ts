/**
 * A tree as libfuse's path-based interface sees it: each operation names a path from the root, and no caller.
 * Everything is done as the user who mounted.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError } from '../abi/errno.js'
import { W_OK, X_OK } from '../abi/fs.js'
import type { Attributes, Directory, File, Node } from '../kernfs/node.js'
import { permit } from './connection.js'

/** What fuse-native takes for stat(2); times are milliseconds. */
export interface LibfuseStat {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly nlink: number
  readonly ino: number
  readonly blksize: number
  readonly atime: number
  readonly mtime: number
  readonly ctime: number
}

/** A folder and a name in it, for what makes and removes. */
export interface Place {
  readonly directory: Directory
  readonly name: string
}

const BLOCK_SIZE = 4096
/** fuse-native carries inode numbers in 32 bits. */
const INO_BITS = 32

/** Paths over a tree, in the name of one user. */
export class LibfuseTree {
  readonly caller: Caller
  readonly #root: Directory

  constructor(root: Directory, owner: { readonly uid: number; readonly gid: number }) {
    this.#root = root
    this.caller = { ...owner, tid: 0 }
  }

  /** The node at a path. Throws ENOENT, ENOTDIR, EACCES. */
  find(path: string): Node {
    return this.#walk(path.split('/').filter(name => name !== ''))
  }

  /** Throws EISDIR or EINVAL where it is something else. */
  file(path: string): File {
    const node = this.find(path)
    if (node.kind === 'file') return node
    throw new ErrnoError(node.kind === 'directory' ? 'EISDIR' : 'EINVAL')
  }

  /** Throws ENOTDIR where it is something else. */
  directory(path: string): Directory {
    const node = this.find(path)
    if (node.kind !== 'directory') throw new ErrnoError('ENOTDIR')
    return node
  }

  /** The folder that a path's last name is in; the user must be allowed to write it. */
  place(path: string): Place {
    const names = path.split('/').filter(name => name !== '')
    const name = names.pop() ?? ''
    const directory = this.#walk(names)
    if (directory.kind !== 'directory') throw new ErrnoError('ENOTDIR')
    permit(directory.attributes(), this.caller, W_OK | X_OK)
    return { directory, name }
  }

  #walk(names: readonly string[]): Node {
    let node: Node = this.#root
    for (const name of names) {
      if (node.kind !== 'directory') throw new ErrnoError('ENOTDIR')
      permit(node.attributes(), this.caller, X_OK)
      const next: Node | undefined = node.lookup(name, this.caller)
      if (!next) throw new ErrnoError('ENOENT')
      node = next
    }
    return node
  }
}

/** A node's attributes as fuse-native takes them. */
export function statOf(node: Node): LibfuseStat {
  const { mode, uid, gid, size, nlink, time }: Attributes = node.attributes()
  const ino = Number(BigInt.asUintN(INO_BITS, node.ino))
  return { mode, uid, gid, size, nlink, ino, blksize: BLOCK_SIZE, atime: time, mtime: time, ctime: time }
}
