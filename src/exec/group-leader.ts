/** The argument `group_fd`: a number in the caller's descriptor table, judged by that descriptor's device and inode. */
import { errnoOf } from '../abi/errno.js'
import type { CallingThread } from './host.js'

/** What a caller named as leader; `bad` is no perf event. */
export type Leader =
  | { readonly kind: 'none' | 'bad' | 'kernel event' }
  | { readonly kind: 'ours'; readonly ino: bigint }

/** Finds the leader that `group_fd` names. */
export function findLeader(caller: CallingThread, group_fd: number): Leader {
  if (group_fd === -1) return { kind: 'none' }
  try {
    const found = caller.kindOf(group_fd)
    return found.kind === 'ours' || found.kind === 'kernel event' ? found : { kind: 'bad' }
  } catch (error) {
    if (errnoOf(error) === 'EBADF') return { kind: 'bad' }
    throw error
  }
}
