/** Operations on what stat(2) shows, and on extended attributes. Counterparts: fuse_do_getattr() to fuse_access(). */
import { ErrnoError, type Failure } from '../abi/errno.js'
import { R_OK, W_OK, X_OK } from '../abi/fs.js'
import {
  FUSE_ROOT_ID,
  type fuse_access_in,
  type fuse_attr,
  type fuse_attr_out,
  type fuse_entry_out,
  type fuse_getxattr_in,
  fuse_getxattr_out,
  type fuse_kstatfs,
  type fuse_setattr_in,
} from '../abi/fuse.js'
import {
  FATTR_ATIME,
  FATTR_ATIME_NOW,
  FATTR_FH,
  FATTR_GID,
  FATTR_MODE,
  FATTR_MTIME,
  FATTR_MTIME_NOW,
  FATTR_SIZE,
  FATTR_UID,
} from '../abi/fuse-constants.js'
import { type Decoded, toNumber } from '../abi/struct.js'
import type { AttributeChange, Node } from '../kernfs/node.js'
import { changeRefusal } from '../kernfs/permission.js'
import { getxattrRefusal, kernfsRefusals } from '../kernfs/refusals.js'
import { type FuseConnection, permit } from './connection.js'
import { type FuseRequest, NAME_MAX } from './request.js'

const BLOCK_SIZE = 4096
const MS_PER_S = 1000
const NS_PER_MS = 1_000_000
const PERMISSION_BITS = 0o7777

/** A node's attributes as the protocol carries them. */
export function attrOf(node: Node): Decoded<typeof fuse_attr> {
  const { mode, nlink, uid, gid, size, time } = node.attributes()
  const seconds = BigInt(Math.floor(time / MS_PER_S))
  const nanoseconds = Math.floor((time % MS_PER_S) * NS_PER_MS)
  return {
    ino: node.ino,
    size: BigInt(size),
    blocks: 0n,
    atime: seconds,
    mtime: seconds,
    ctime: seconds,
    atimensec: nanoseconds,
    mtimensec: nanoseconds,
    ctimensec: nanoseconds,
    mode,
    nlink,
    uid,
    gid,
    rdev: 0,
    blksize: BLOCK_SIZE,
    flags: 0,
  }
}

/** Names a node to the kernel; the validity left at 0 makes it ask each time. */
export const entryOf = (node: Node): Partial<Decoded<typeof fuse_entry_out>> => ({
  nodeid: node.ino,
  attr: attrOf(node),
})

type AttrOut = Partial<Decoded<typeof fuse_attr_out>>

/**
 * Only the root is judged: whoever asks for another node looked it up, and was judged then, or holds a descriptor
 * on it, with which fstat(2) must go on after setuid(2).
 */
export function getattr(connection: FuseConnection, { nodeid, caller }: FuseRequest): AttrOut {
  if (nodeid === FUSE_ROOT_ID) connection.enter(caller)
  return { attr: attrOf(connection.nodes.get(nodeid)) }
}

type SetattrIn = Decoded<typeof fuse_setattr_in>

const has = (valid: number, flag: number): boolean => (valid & flag) !== 0

function timeOf(input: SetattrIn): number | undefined {
  if (has(input.valid, FATTR_MTIME_NOW)) return Date.now()
  if (has(input.valid, FATTR_MTIME)) return Number(input.mtime) * MS_PER_S + input.mtimensec / NS_PER_MS
  if (has(input.valid, FATTR_ATIME_NOW)) return Date.now()
  if (has(input.valid, FATTR_ATIME)) return Number(input.atime) * MS_PER_S + input.atimensec / NS_PER_MS
  return undefined
}

function changeOf(input: SetattrIn): AttributeChange {
  const { valid } = input
  const time = timeOf(input)
  return {
    ...(has(valid, FATTR_MODE) && { mode: input.mode & PERMISSION_BITS }),
    ...(has(valid, FATTR_UID) && { uid: input.uid }),
    ...(has(valid, FATTR_GID) && { gid: input.gid }),
    ...(has(valid, FATTR_SIZE) && { size: toNumber(input.size) }),
    ...(time !== undefined && { time }),
  }
}

/** What of a change is to be judged by owner and mode: not what the caller's rights cover already. */
function judgedPart(node: Node, request: FuseRequest<SetattrIn>, change: AttributeChange): AttributeChange {
  const { valid } = request.input
  const { size, time, ...rest } = change
  const attributes = node.attributes()
  const isTouch = has(valid, FATTR_MTIME_NOW) || has(valid, FATTR_ATIME_NOW)
  if (isTouch && request.caller.uid !== attributes.uid) permit(attributes, request.caller, W_OK)
  return {
    ...rest,
    ...(size !== undefined && !has(valid, FATTR_FH) && { size }),
    ...(time !== undefined && !isTouch && { time }),
  }
}

/** Changes mode, owner, size or times. */
export function setattr(connection: FuseConnection, request: FuseRequest<SetattrIn>): AttrOut | Failure {
  const node = connection.nodes.get(request.nodeid)
  const change = changeOf(request.input)
  const refusal = changeRefusal(node.attributes(), request.caller, judgedPart(node, request, change))
  if (refusal) return refusal
  if (Object.keys(change).length > 0) {
    if (!node.setAttributes) throw new ErrnoError('EPERM')
    node.setAttributes(change, request.caller)
  }
  return { attr: attrOf(node) }
}

/** access(2), with the caller's real ids as the kernel sends them. */
export function access(
  connection: FuseConnection,
  { nodeid, caller, input }: FuseRequest<Decoded<typeof fuse_access_in>>,
): void {
  permit(connection.nodes.get(nodeid).attributes(), caller, input.mask & (R_OK | W_OK | X_OK))
}

/** A tree of no blocks, as sysfs gives. */
export function statfs(): Partial<Decoded<typeof fuse_kstatfs>> {
  return { bsize: BLOCK_SIZE, frsize: BLOCK_SIZE, namelen: NAME_MAX }
}

/** No extended attribute is ever set. */
export function getxattr(connection: FuseConnection, { nodeid, name }: FuseRequest): never {
  connection.nodes.get(nodeid)
  throw new ErrnoError(getxattrRefusal(name))
}

/** An empty list, or its size where the caller asks for that. */
export function listxattr(
  connection: FuseConnection,
  { nodeid, input }: FuseRequest<Decoded<typeof fuse_getxattr_in>>,
): Uint8Array {
  connection.nodes.get(nodeid)
  return input.size === 0 ? fuse_getxattr_out.encode({ size: 0 }) : new Uint8Array(0)
}

/** Setting and removing alike: judged as a write, then refused. */
export function setxattr(connection: FuseConnection, { nodeid, caller }: FuseRequest): never {
  permit(connection.nodes.get(nodeid).attributes(), caller, W_OK)
  throw new ErrnoError(kernfsRefusals.setxattr)
}
