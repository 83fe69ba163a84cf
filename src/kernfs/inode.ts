/**
 * What kernfs remembers of a node besides its contents: type and permission bits, owner, times, and whether it
 * has been removed. Counterpart: struct kernfs_iattrs and kernfs_iop_setattr() in fs/kernfs/inode.c.
 *
 * chmod, chown and utime are remembered for as long as the node exists; a new size is accepted and forgotten.
 * Whether the caller may change anything is settled before (permission.ts).
 */
import { S_IFMT } from '../abi/fs.js'
import type { AttributeChange, Attributes } from './node.js'
import { newIno } from './node.js'

/** Whom a new node belongs to. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** What a node is at first. */
interface InodeOptions {
  readonly owner: Owner
  /** File type and permission bits. */
  readonly mode: number
  /** Default: a number of its own. */
  readonly ino?: bigint
}

/** The remembered half of a node. */
export class Inode {
  readonly ino: bigint
  #mode: number
  #owner: Owner
  #time = Date.now()
  #isRemoved = false

  constructor({ owner, mode, ino = newIno() }: InodeOptions) {
    this.ino = ino
    this.#mode = mode
    this.#owner = owner
  }

  get mode(): number {
    return this.#mode
  }

  /** Whether what the node stood for is gone. */
  get isRemoved(): boolean {
    return this.#isRemoved
  }

  remove(): void {
    this.#isRemoved = true
  }

  attributes(nlink: number, size: number): Attributes {
    return { mode: this.#mode, nlink, uid: this.#owner.uid, gid: this.#owner.gid, size, time: this.#time }
  }

  change({ mode, uid, gid, time }: AttributeChange): void {
    if (mode !== undefined) this.#mode = (this.#mode & S_IFMT) | (mode & ~S_IFMT)
    this.#owner = { uid: uid ?? this.#owner.uid, gid: gid ?? this.#owner.gid }
    this.#time = time ?? this.#time
  }
}
