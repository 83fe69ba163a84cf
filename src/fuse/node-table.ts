/**
 * The nodes that the kernel knows, by node id, with its count of lookups. Counterpart: the inode's nlookup in
 * fs/fuse/inode.c.
 *
 * A node's id is its inode number, which is never used again; the root has id 1. The kernel's count of a node is
 * raised by each reply that names it and lowered by FORGET; at zero the kernel will not speak of it any more.
 */
import { ErrnoError } from '../abi/errno.js'
import { FUSE_ROOT_ID } from '../abi/fuse.js'
import type { Directory, File, Node } from '../kernfs/node.js'

interface Known {
  readonly node: Node
  /** The id of the folder it was found in, for "..". */
  readonly parent: bigint
  nlookup: bigint
}

/** The kernel's view of the tree. */
export class NodeTable {
  readonly #known = new Map<bigint, Known>()

  constructor(root: Directory) {
    this.#known.set(FUSE_ROOT_ID, { node: root, parent: FUSE_ROOT_ID, nlookup: 1n })
  }

  /** How many nodes the kernel holds, the root among them. */
  get size(): number {
    return this.#known.size
  }

  /** Counts one more lookup of a node that was found in the folder `parent`; returns its id. */
  remember(node: Node, parent: bigint): bigint {
    const known = this.#known.get(node.ino)
    if (known) known.nlookup += 1n
    else this.#known.set(node.ino, { node, parent, nlookup: 1n })
    return node.ino
  }

  /** The kernel gives `nlookup` of its lookups back. */
  forget(nodeid: bigint, nlookup: bigint): void {
    const known = this.#known.get(nodeid)
    if (!known || nodeid === FUSE_ROOT_ID) return
    known.nlookup -= nlookup
    if (known.nlookup <= 0n) this.#known.delete(nodeid)
  }

  /** The node with this id. Throws ESTALE where the kernel has forgotten it, or never knew. */
  get(nodeid: bigint): Node {
    return this.#get(nodeid).node
  }

  /** Throws ENOTDIR where it is something else. */
  directory(nodeid: bigint): Directory {
    const node = this.get(nodeid)
    if (node.kind !== 'directory') throw new ErrnoError('ENOTDIR')
    return node
  }

  /** Throws EISDIR or EINVAL where it is something else. */
  file(nodeid: bigint): File {
    const node = this.get(nodeid)
    if (node.kind === 'file') return node
    throw new ErrnoError(node.kind === 'directory' ? 'EISDIR' : 'EINVAL')
  }

  /** The id of the folder that a node was found in. */
  parentOf(nodeid: bigint): bigint {
    return this.#get(nodeid).parent
  }

  #get(nodeid: bigint): Known {
    const known = this.#known.get(nodeid)
    if (!known) throw new ErrnoError('ESTALE', `node ${nodeid} is not known`)
    return known
  }
}
