/** Operations on names: finding a node, giving it back, making and removing. Counterparts: fuse_lookup() to fuse_link(). */
import { ErrnoError, type ErrnoName, Failure } from '../abi/errno.js'
import { W_OK, X_OK } from '../abi/fs.js'
import {
  type fuse_batch_forget_in,
  type fuse_entry_out,
  type fuse_forget_in,
  fuse_forget_one,
  type fuse_mkdir_in,
  type fuse_mknod_in,
} from '../abi/fuse.js'
import type { Decoded } from '../abi/struct.js'
import type { MaybeLater } from '../kernfs/later.js'
import type { Directory } from '../kernfs/node.js'
import { kernfsRefusals, mknodRefusal } from '../kernfs/refusals.js'
import { entryOf } from './attributes.js'
import { type FuseConnection, permit } from './connection.js'
import type { FuseRequest } from './request.js'

type EntryOut = Partial<Decoded<typeof fuse_entry_out>>

/** What a name decodes to where its bytes are no UTF-8. */
const REPLACEMENT = '\uFFFD'
const PERMISSION_BITS = 0o7777

const missing = new Failure('ENOENT')

/** Finds a name in a folder; the caller needs the search bit. */
export function lookup(connection: FuseConnection, request: FuseRequest): EntryOut | Failure {
  const directory = connection.nodes.directory(request.nodeid)
  permit(directory.attributes(), request.caller, X_OK)
  const node = directory.lookup(request.name, request.caller)
  if (!node) return missing
  connection.nodes.remember(node, request.nodeid)
  return entryOf(node)
}

/** Takes back an entry whose reply reached nobody. */
export function dropEntry(connection: FuseConnection, { nodeid }: EntryOut): void {
  if (nodeid !== undefined) connection.nodes.forget(nodeid, 1n)
}

/** The kernel gives lookups back. */
export function forget(
  connection: FuseConnection,
  { nodeid, input }: FuseRequest<Decoded<typeof fuse_forget_in>>,
): void {
  connection.nodes.forget(nodeid, input.nlookup)
}

/** Many forgets in one message; a count that its data does not bear out is cut. */
export function batchForget(
  connection: FuseConnection,
  { input, data }: FuseRequest<Decoded<typeof fuse_batch_forget_in>>,
): void {
  const { size } = fuse_forget_one
  const count = Math.min(input.count, Math.floor(data.length / size))
  for (let i = 0; i < count; i++) {
    const { nodeid, nlookup } = fuse_forget_one.decode(data, i * size)
    connection.nodes.forget(nodeid, nlookup)
  }
}

function writableFolder(connection: FuseConnection, { nodeid, caller }: FuseRequest): Directory {
  const directory = connection.nodes.directory(nodeid)
  permit(directory.attributes(), caller, W_OK | X_OK)
  return directory
}

/** Makes a folder, where the folder it is in has a meaning for that. */
export function mkdir(
  connection: FuseConnection,
  request: FuseRequest<Decoded<typeof fuse_mkdir_in>>,
): EntryOut {
  const { name, caller, input } = request
  const directory = writableFolder(connection, request)
  if (!directory.mkdir) throw new ErrnoError(kernfsRefusals.mkdir)
  if (name.includes(REPLACEMENT)) throw new ErrnoError('EILSEQ', 'a name that is not UTF-8')
  const made = directory.mkdir(name, input.mode & ~input.umask & PERMISSION_BITS, caller)
  connection.nodes.remember(made, request.nodeid)
  return entryOf(made)
}

/** Removes a folder, likewise; it may take time. */
export function rmdir(connection: FuseConnection, request: FuseRequest): MaybeLater<void> {
  const directory = writableFolder(connection, request)
  if (!directory.rmdir) throw new ErrnoError(kernfsRefusals.rmdir)
  return directory.rmdir(request.name, request.caller)
}

/** An operation that kernfs does not have: refused, but after the permission on the folder. */
export const refused =
  (code: ErrnoName) =>
  (connection: FuseConnection, request: FuseRequest): never => {
    writableFolder(connection, request)
    throw new ErrnoError(code)
  }

/** mknod(2) of a file and of anything else is refused differently. */
export function mknod(
  connection: FuseConnection,
  request: FuseRequest<Decoded<typeof fuse_mknod_in>>,
): never {
  writableFolder(connection, request)
  throw new ErrnoError(mknodRefusal(request.input.mode))
}

/** The target of a symbolic link. */
export function readlink(connection: FuseConnection, { nodeid }: FuseRequest): Uint8Array {
  const node = connection.nodes.get(nodeid)
  if (node.kind !== 'symlink') throw new ErrnoError('EINVAL')
  return new TextEncoder().encode(node.readlink())
}
