/**
 * The operations, one row each: what a request's body is made of, who may send it, how its reply is written and
 * who handles it. Dispatch, checks of size and the debug print all read this table.
 */
import { Failure } from '../abi/errno.js'
import {
  fuse_access_in,
  fuse_attr_out,
  fuse_batch_forget_in,
  fuse_create_in,
  fuse_entry_out,
  fuse_flush_in,
  fuse_forget_in,
  fuse_fsync_in,
  fuse_getattr_in,
  fuse_getxattr_in,
  fuse_init_in_compat,
  fuse_init_out,
  fuse_interrupt_in,
  fuse_ioctl_in,
  fuse_kstatfs,
  fuse_link_in,
  fuse_mkdir_in,
  fuse_mknod_in,
  fuse_open_in,
  fuse_open_out,
  fuse_poll_in,
  fuse_poll_out,
  fuse_read_in,
  fuse_release_in,
  fuse_rename_in,
  fuse_rename2_in,
  fuse_setattr_in,
  fuse_setxattr_in_compat,
  fuse_write_in,
  fuse_write_out,
} from '../abi/fuse.js'
import { FUSE_OPCODE, type FuseOpcodeName } from '../abi/fuse-constants.js'
import type { Field } from '../abi/struct.js'
import type { MaybeLater } from '../kernfs/later.js'
import { kernfsRefusals } from '../kernfs/refusals.js'
import { access, getattr, getxattr, listxattr, setattr, setxattr, statfs } from './attributes.js'
import type { FuseConnection } from './connection.js'
import { opendir, readdir } from './directories.js'
import { accept, dropHandle, ioctl, open, poll, read, release, write } from './files.js'
import { batchForget, dropEntry, forget, lookup, mkdir, mknod, readlink, refused, rmdir } from './names.js'
import { body, bytes, ioctlBody, nothing, type Output } from './reply.js'
import type { FuseRequest, RequestShape } from './request.js'
import { destroy, init, interrupt } from './session.js'

/**
 * Whose request it is: of anyone, who must be let into the mount; of someone who holds a descriptor and so was let
 * in before; or the kernel's own, which carries no credentials and authorises nothing.
 */
export type Sender = 'anyone' | 'holder' | 'kernel'

/** A row as it is written: `handle` takes what `input` decodes and gives what `output` writes. */
interface Row<Input, Value> extends RequestShape {
  readonly sender: Sender
  readonly input?: Field<Input>
  /** How a successful reply is written; absent: the request is never answered. */
  readonly output?: Output<Value>
  handle(connection: FuseConnection, request: FuseRequest<Input>): MaybeLater<Value> | Failure
  /** Takes back what a successful reply handed out, where that reply reached nobody. */
  undelivered?(connection: FuseConnection, value: Value): void
}

/** A row as it is used, its types checked and forgotten. */
export interface Operation extends RequestShape {
  readonly sender: Sender
  readonly output?: Output
  handle(connection: FuseConnection, request: FuseRequest): unknown
  undelivered?(connection: FuseConnection, value: unknown): void
}

/** An operation with its name, for the debug print. */
export type NamedOperation = Operation & { readonly name: string }

const row = <Input, Value>(operation: Row<Input, Value>): Operation => operation

const ENOSYS = new Failure('ENOSYS')

/**
 * For many operations the kernel remembers ENOSYS for the life of the connection, and does without them or with
 * what it has of its own. That is wanted for these rows, and nothing else answers it.
 */
const notImplemented: Operation = row({ sender: 'kernel', output: nothing, handle: () => ENOSYS })

const closing = { sender: 'kernel', input: fuse_release_in, output: nothing } as const

const rows: Readonly<Record<FuseOpcodeName, Operation>> = {
  FUSE_INIT: row({ sender: 'kernel', input: fuse_init_in_compat, output: body(fuse_init_out), handle: init }),
  FUSE_DESTROY: row({ sender: 'kernel', output: nothing, handle: destroy }),
  FUSE_INTERRUPT: row({ sender: 'kernel', input: fuse_interrupt_in, handle: interrupt }),
  FUSE_NOTIFY_REPLY: row({ sender: 'kernel', handle: () => {} }),

  FUSE_LOOKUP: row({
    sender: 'anyone',
    names: ['entry'],
    output: body(fuse_entry_out),
    handle: lookup,
    undelivered: dropEntry,
  }),
  FUSE_FORGET: row({ sender: 'kernel', input: fuse_forget_in, handle: forget }),
  FUSE_BATCH_FORGET: row({ sender: 'kernel', input: fuse_batch_forget_in, handle: batchForget }),

  FUSE_GETATTR: row({
    sender: 'holder',
    input: fuse_getattr_in,
    output: body(fuse_attr_out),
    handle: getattr,
  }),
  FUSE_SETATTR: row({
    sender: 'anyone',
    input: fuse_setattr_in,
    output: body(fuse_attr_out),
    handle: setattr,
  }),
  FUSE_ACCESS: row({ sender: 'anyone', input: fuse_access_in, output: nothing, handle: access }),
  FUSE_STATFS: row({ sender: 'holder', output: body(fuse_kstatfs), handle: statfs }),
  FUSE_READLINK: row({ sender: 'anyone', output: bytes, handle: readlink }),
  FUSE_GETXATTR: row({
    sender: 'anyone',
    input: fuse_getxattr_in,
    names: ['xattr'],
    output: bytes,
    handle: getxattr,
  }),
  FUSE_LISTXATTR: row({ sender: 'anyone', input: fuse_getxattr_in, output: bytes, handle: listxattr }),
  FUSE_SETXATTR: row({
    sender: 'anyone',
    input: fuse_setxattr_in_compat,
    names: ['xattr'],
    output: nothing,
    handle: setxattr,
  }),
  FUSE_REMOVEXATTR: row({ sender: 'anyone', names: ['xattr'], output: nothing, handle: setxattr }),

  FUSE_MKDIR: row({
    sender: 'anyone',
    input: fuse_mkdir_in,
    names: ['entry'],
    output: body(fuse_entry_out),
    handle: mkdir,
    undelivered: dropEntry,
  }),
  FUSE_RMDIR: row({ sender: 'anyone', names: ['entry'], output: nothing, handle: rmdir }),
  FUSE_UNLINK: row({
    sender: 'anyone',
    names: ['entry'],
    output: nothing,
    handle: refused(kernfsRefusals.unlink),
  }),
  FUSE_SYMLINK: row({
    sender: 'anyone',
    names: ['entry'],
    output: nothing,
    handle: refused(kernfsRefusals.symlink),
  }),
  FUSE_LINK: row({
    sender: 'anyone',
    input: fuse_link_in,
    names: ['entry'],
    output: nothing,
    handle: refused(kernfsRefusals.link),
  }),
  FUSE_RENAME: row({
    sender: 'anyone',
    input: fuse_rename_in,
    names: ['entry', 'entry'],
    output: nothing,
    handle: refused(kernfsRefusals.rename),
  }),
  FUSE_RENAME2: row({
    sender: 'anyone',
    input: fuse_rename2_in,
    names: ['entry', 'entry'],
    output: nothing,
    handle: refused(kernfsRefusals.rename),
  }),
  FUSE_MKNOD: row({
    sender: 'anyone',
    input: fuse_mknod_in,
    names: ['entry'],
    output: nothing,
    handle: mknod,
  }),
  FUSE_CREATE: row({
    sender: 'anyone',
    input: fuse_create_in,
    names: ['entry'],
    output: nothing,
    handle: refused(kernfsRefusals.create),
  }),
  // Its name is "/", the kernel's for a file that has none: not read.
  FUSE_TMPFILE: row({
    sender: 'anyone',
    input: fuse_create_in,
    output: nothing,
    handle: refused(kernfsRefusals.tmpfile),
  }),

  FUSE_OPENDIR: row({
    sender: 'anyone',
    input: fuse_open_in,
    output: body(fuse_open_out),
    handle: opendir,
    undelivered: dropHandle,
  }),
  FUSE_READDIR: row({ sender: 'holder', input: fuse_read_in, output: bytes, handle: readdir }),
  FUSE_FSYNCDIR: row({
    sender: 'holder',
    input: fuse_fsync_in,
    output: nothing,
    handle: () => new Failure(kernfsRefusals.fsyncdir),
  }),
  FUSE_RELEASEDIR: row({ ...closing, handle: release }),

  FUSE_OPEN: row({
    sender: 'anyone',
    input: fuse_open_in,
    output: body(fuse_open_out),
    handle: open,
    undelivered: dropHandle,
  }),
  FUSE_READ: row({ sender: 'holder', input: fuse_read_in, output: bytes, handle: read }),
  FUSE_WRITE: row({ sender: 'holder', input: fuse_write_in, output: body(fuse_write_out), handle: write }),
  FUSE_IOCTL: row({ sender: 'holder', input: fuse_ioctl_in, output: ioctlBody, handle: ioctl }),
  FUSE_POLL: row({ sender: 'holder', input: fuse_poll_in, output: body(fuse_poll_out), handle: poll }),
  FUSE_FLUSH: row({ sender: 'holder', input: fuse_flush_in, output: nothing, handle: accept }),
  FUSE_FSYNC: row({ sender: 'holder', input: fuse_fsync_in, output: nothing, handle: accept }),
  FUSE_FALLOCATE: row({
    sender: 'holder',
    output: nothing,
    handle: () => new Failure(kernfsRefusals.fallocate),
  }),
  FUSE_RELEASE: row({ ...closing, handle: release }),

  FUSE_GETLK: notImplemented,
  FUSE_SETLK: notImplemented,
  FUSE_SETLKW: notImplemented,
  FUSE_BMAP: notImplemented,
  FUSE_READDIRPLUS: notImplemented,
  FUSE_LSEEK: notImplemented,
  FUSE_COPY_FILE_RANGE: notImplemented,
  FUSE_COPY_FILE_RANGE_64: notImplemented,
  FUSE_SETUPMAPPING: notImplemented,
  FUSE_REMOVEMAPPING: notImplemented,
  FUSE_SYNCFS: notImplemented,
  FUSE_STATX: notImplemented,
}

function numbered(named: Readonly<Record<string, Operation>>): readonly (NamedOperation | undefined)[] {
  const list: NamedOperation[] = []
  for (const [name, opcode] of Object.entries(FUSE_OPCODE)) {
    const operation = named[name]
    if (operation) list[opcode] = { name, ...operation }
  }
  return list
}

const byOpcode = numbered(rows)

/** The row of an opcode; of one that no kernel has yet, the row of what is not implemented. */
export const operationOf = (opcode: number): NamedOperation =>
  byOpcode[opcode] ?? { name: `opcode ${opcode}`, ...notImplemented }
