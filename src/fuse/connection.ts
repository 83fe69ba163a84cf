/**
 * What one mount's server knows: nodes, open handles, parked requests, and who may enter.
 * Counterpart: struct fuse_conn.
 *
 * The kernel asks on behalf of everybody (root mounts with allow_other); who may enter is judged here, by the
 * credentials of each request, as fuse_allow_current_process() would.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError } from '../abi/errno.js'
import type { Later } from '../kernfs/later.js'
import type { Attributes, Directory } from '../kernfs/node.js'
import { hasPermission } from '../kernfs/permission.js'
import { HandleTable } from './handle-table.js'
import { NodeTable } from './node-table.js'
import type { ReplyWriter } from './reply.js'

/** Who may enter a mount. */
export interface Admission {
  /** The user who mounts. */
  readonly owner: { readonly uid: number; readonly gid: number }
  /** Whether users other than the owner and root may enter. */
  readonly allowOther: boolean
  /** Whether a signal is to end a thread's wait; every one does where this is left out. */
  readonly isInterrupted?: (tid: number) => boolean
}

/** A request that waits for its result. */
interface Parked {
  readonly later: Later<unknown>
  /** The thread that waits for the answer. */
  readonly tid: number
}

/** The state behind one connection. */
export class FuseConnection {
  readonly nodes: NodeTable
  readonly handles = new HandleTable()
  /** Requests that wait for their result, by unique. */
  readonly parked = new Map<bigint, Parked>()
  readonly replies: ReplyWriter
  readonly #admission: Admission

  constructor(root: Directory, replies: ReplyWriter, admission: Admission) {
    this.nodes = new NodeTable(root)
    this.replies = replies
    this.#admission = admission
  }

  /** Throws EACCES where the caller may not enter the mount. */
  enter({ uid }: Caller): void {
    const { owner, allowOther } = this.#admission
    if (!allowOther && uid !== 0 && uid !== owner.uid)
      throw new ErrnoError('EACCES', `user ${uid} may not enter: the mount is user ${owner.uid}'s`)
  }

  /**
   * A signal reached the thread that waits for a parked request. The kernel tells of the first one only: where that
   * ends no wait a later one finds the thread waiting until the answer comes.
   */
  interrupt(unique: bigint): void {
    const parked = this.parked.get(unique)
    if (parked && (this.#admission.isInterrupted?.(parked.tid) ?? true))
      parked.later.cancel(new ErrnoError('EINTR'))
  }

  /** Gives parked requests up, in the order in which they came, as the kernel does when a server dies. */
  cancelParked(): void {
    for (const { later } of this.parked.values()) later.cancel(new ErrnoError('ECONNABORTED'))
  }
}

/** Throws EACCES where the caller lacks a permission of `mask` on what has these attributes. */
export function permit(attributes: Attributes, caller: Caller, mask: number): void {
  if (!hasPermission(attributes, caller, mask))
    throw new ErrnoError(
      'EACCES',
      `user ${caller.uid} lacks permission ${mask} on mode ${attributes.mode.toString(8)}`,
    )
}
