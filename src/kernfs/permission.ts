/**
 * Who may do what to a node, by owner, group and mode bits. Pure.
 * Counterparts: generic_permission() and acl_permission_check() in fs/namei.c, setattr_prepare() in fs/attr.c.
 *
 * A request carries one group, so supplementary groups count for nothing. Root passes as CAP_DAC_OVERRIDE and
 * CAP_FOWNER would; that the mode bits of an attribute bind root at open(2) is the file's own rule
 * (attribute-file.ts).
 */
import type { Caller } from '../abi/caller.js'
import { Failure } from '../abi/errno.js'
import { O_ACCMODE, O_RDONLY, O_TRUNC, O_WRONLY, R_OK, S_IFDIR, S_IFMT, W_OK, X_OK } from '../abi/fs.js'
import type { AttributeChange, Attributes } from './node.js'

/** Whether the caller has every permission of `mask` (R_OK, W_OK, X_OK; X_OK on a folder is the search bit). */
export function hasPermission(attributes: Attributes, caller: Caller, mask: number): boolean {
  const { mode, uid, gid } = attributes
  if (caller.uid === 0) return !(mask & X_OK) || (mode & S_IFMT) === S_IFDIR || (mode & 0o111) !== 0
  const shift = caller.uid === uid ? 6 : caller.gid === gid ? 3 : 0
  return (mask & ~(mode >> shift)) === 0
}

/** What open(2) with these flags asks of a file, as a mask for hasPermission. */
export function openMask(flags: number): number {
  const access = flags & O_ACCMODE
  const read = access === O_WRONLY ? 0 : R_OK
  const write = access === O_RDONLY && !(flags & O_TRUNC) ? 0 : W_OK
  return read | write
}

/**
 * Why the caller may not make this change, or undefined. A new size is judged like a write; where the file is open
 * for writing already (ftruncate(2)) leave `size` out.
 */
export function changeRefusal(
  attributes: Attributes,
  caller: Caller,
  change: AttributeChange,
): Failure | undefined {
  if (change.size !== undefined && !hasPermission(attributes, caller, W_OK))
    return new Failure('EACCES', 'The caller may not write the file, so it may not truncate it')
  if (caller.uid === 0) return undefined
  if (caller.uid !== attributes.uid) return strangerRefusal(change)
  if ((change.uid ?? attributes.uid) !== attributes.uid)
    return new Failure('EPERM', 'Only root may give a file to another user')
  if (![attributes.gid, caller.gid].includes(change.gid ?? attributes.gid))
    return new Failure('EPERM', "Only root may give a file to a group that is not the owner's")
  return undefined
}

function strangerRefusal({ mode, uid, gid, time }: AttributeChange): Failure | undefined {
  if ([mode, uid, gid, time].every(value => value === undefined)) return undefined
  return new Failure('EPERM', 'Only the owner may change mode, owner and times')
}
