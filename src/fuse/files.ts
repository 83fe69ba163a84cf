/**
 * Operations on open files. Counterparts: fs/fuse/file.c, fs/fuse/ioctl.c.
 *
 * OPEN is judged; what comes on the handle later is not judged again, so that a descriptor that was passed on goes
 * on after setuid(2). Every file is direct I/O: its size is a claim, and its content may differ at each read.
 */
import { ErrnoError } from '../abi/errno.js'
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/fs.js'
import {
  type fuse_ioctl_in,
  fuse_notify_poll_wakeup_out,
  type fuse_open_in,
  type fuse_open_out,
  type fuse_poll_in,
  type fuse_poll_out,
  type fuse_read_in,
  type fuse_write_in,
  type fuse_write_out,
} from '../abi/fuse.js'
import {
  FOPEN_DIRECT_IO,
  FOPEN_NOFLUSH,
  FOPEN_NONSEEKABLE,
  FOPEN_STREAM,
  FUSE_IOCTL_DIR,
  FUSE_NOTIFY_POLL,
  FUSE_POLL_SCHEDULE_NOTIFY,
} from '../abi/fuse-constants.js'
import type { Decoded } from '../abi/struct.js'
import { chain, type MaybeLater } from '../kernfs/later.js'
import type { IoctlReply, OpenFile } from '../kernfs/node.js'
import { openMask } from '../kernfs/permission.js'
import { kernfsRefusals } from '../kernfs/refusals.js'
import { type FuseConnection, permit } from './connection.js'
import type { FileHandle } from './handle-table.js'
import { MAX_READ } from './limits.js'
import type { IoctlBody } from './reply.js'
import type { FuseRequest } from './request.js'

type OpenOut = Partial<Decoded<typeof fuse_open_out>>
type WriteOut = Partial<Decoded<typeof fuse_write_out>>

/**
 * A FLUSH would make each close(2) wait for the server, those of a child that inherited the descriptor too: behind a
 * server that is stopped its parent would sleep in vfork(2) where no signal reaches it.
 */
const FILE_FLAGS = FOPEN_DIRECT_IO | FOPEN_NOFLUSH
/** Old kernels know NONSEEKABLE only. */
const STREAM_FLAGS = FILE_FLAGS | FOPEN_STREAM | FOPEN_NONSEEKABLE

/** Opens a file. */
export function open(
  connection: FuseConnection,
  { nodeid, caller, input }: FuseRequest<Decoded<typeof fuse_open_in>>,
): MaybeLater<OpenOut> {
  const node = connection.nodes.file(nodeid)
  permit(node.attributes(), caller, openMask(input.flags))
  return chain<OpenFile, OpenOut>(node.open(input.flags, caller), file => ({
    fh: connection.handles.openFile(file),
    open_flags: file.isStream ? STREAM_FLAGS : FILE_FLAGS,
  }))
}

/** The last descriptor on a file or folder was closed. */
export function release(connection: FuseConnection, { input }: FuseRequest<{ readonly fh: bigint }>): void {
  connection.handles.release(input.fh)
}

/** Takes back a handle whose reply reached nobody. */
export function dropHandle(connection: FuseConnection, { fh }: OpenOut): void {
  if (fh !== undefined) connection.handles.release(fh)
}

/** A position in a file: above 2^53-1 is beyond every file. */
function positionOf(file: OpenFile, offset: bigint): number {
  if (file.isStream) return 0
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw new ErrnoError('EINVAL', `offset ${offset}`)
  return Number(offset)
}

/** Reads up to `size` bytes; more than was asked for never leaves. */
export function read(
  connection: FuseConnection,
  { caller, input }: FuseRequest<Decoded<typeof fuse_read_in>>,
): MaybeLater<Uint8Array> {
  const { file } = connection.handles.file(input.fh)
  const size = Math.min(input.size, MAX_READ)
  const cut = (data: Uint8Array) => (data.length > size ? data.subarray(0, size) : data)
  return chain(file.read(positionOf(file, input.offset), size, caller), cut)
}

/** Writes all of the data in one call. */
export function write(
  connection: FuseConnection,
  { caller, input, data }: FuseRequest<Decoded<typeof fuse_write_in>>,
): MaybeLater<WriteOut> {
  const { file } = connection.handles.file(input.fh)
  if (data.length < input.size)
    throw new ErrnoError('EINVAL', `${data.length} bytes of a write of ${input.size}`)
  const written = file.write(positionOf(file, input.offset), data.subarray(0, input.size), caller)
  return chain<number, WriteOut>(written, size => ({ size }))
}

/** Whatever is asked of an open file and has nothing to do here: flush, fsync. */
export function accept(connection: FuseConnection, { input }: FuseRequest<{ readonly fh: bigint }>): void {
  connection.handles.file(input.fh)
}

/** Restricted ioctl: the sizes are those that the command carries, and the kernel has copied the input. */
export function ioctl(
  connection: FuseConnection,
  { caller, input, data }: FuseRequest<Decoded<typeof fuse_ioctl_in>>,
): MaybeLater<IoctlBody> {
  if (input.flags & FUSE_IOCTL_DIR) throw new ErrnoError(kernfsRefusals.ioctl)
  const { file } = connection.handles.file(input.fh)
  if (!file.ioctl) throw new ErrnoError(kernfsRefusals.ioctl)
  if (data.length < input.in_size)
    throw new ErrnoError('EINVAL', `${data.length} bytes of an ioctl's ${input.in_size}`)
  const { cmd, arg, in_size, out_size: outputSize } = input
  const reply = file.ioctl({ cmd, arg, input: data.subarray(0, in_size), outputSize }, caller)
  return chain<IoctlReply, IoctlBody>(reply, ({ result, output = new Uint8Array(0) }) => ({
    result,
    output: output.subarray(0, outputSize),
  }))
}

const ALWAYS_READY = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM

/** Wakes those who sleep on a handle, once; they ask again. */
const waker = (connection: FuseConnection, handle: FileHandle, kh: bigint) => (): void => {
  if (!handle.isAwaited) return
  handle.isAwaited = false
  connection.replies.notify(FUSE_NOTIFY_POLL, fuse_notify_poll_wakeup_out, { kh })
}

/**
 * What holds of a file now. The kernel sets SCHEDULE_NOTIFY for as long as anybody sleeps on the handle, so that a
 * request without it ends the wait of all.
 */
export function poll(
  connection: FuseConnection,
  { input }: FuseRequest<Decoded<typeof fuse_poll_in>>,
): Partial<Decoded<typeof fuse_poll_out>> {
  const handle = connection.handles.file(input.fh)
  if (!handle.file.poll) return { revents: ALWAYS_READY & input.events }
  handle.wake ??= waker(connection, handle, input.kh)
  handle.isAwaited = (input.flags & FUSE_POLL_SCHEDULE_NOTIFY) !== 0
  return { revents: handle.file.poll(input.events, handle.isAwaited ? handle.wake : undefined) }
}
