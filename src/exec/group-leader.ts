/**
 * The argument `group_fd`: a number in the caller's descriptor table, so it is judged by a copy of the descriptor
 * and by that one's device and inode.
 */
import { errnoOf } from '../abi/errno.js'
import type { CallingThread, DescriptorKind, Kernel } from './host.js'

/** What a caller named as leader; `bad` is no perf event. */
export type Leader =
  | { readonly kind: 'none' | 'bad' | 'kernel event' }
  | { readonly kind: 'ours'; readonly ino: bigint }

/** Runs `use` with a copy of the caller's descriptor. Throws EBADF where the caller has none of that number. */
export function withCopy<T>(caller: CallingThread, kernel: Kernel, fd: number, use: (copy: number) => T): T {
  const copy = caller.copyDescriptor(fd)
  try {
    return use(copy)
  } finally {
    kernel.close(copy)
  }
}

/** The kind of one of the caller's descriptors. */
export const kindOfDescriptor = (caller: CallingThread, kernel: Kernel, fd: number): DescriptorKind =>
  withCopy(caller, kernel, fd, copy => kernel.kindOf(copy))

/** Finds the leader that `group_fd` names. */
export function findLeader(caller: CallingThread, kernel: Kernel, group_fd: number): Leader {
  if (group_fd === -1) return { kind: 'none' }
  try {
    const found = kindOfDescriptor(caller, kernel, group_fd)
    return found.kind === 'other' ? { kind: 'bad' } : found
  } catch (error) {
    if (errnoOf(error) === 'EBADF') return { kind: 'bad' }
    throw error
  }
}
