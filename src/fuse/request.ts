/**
 * One request, decoded: header, arguments, names, data. Counterpart: struct fuse_in_header and what follows it.
 *
 * A request that is too short or ill-formed is refused with EINVAL here, so that handlers see whole ones only.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError } from '../abi/errno.js'
import { type fuse_in_header, fuse_in_header as headerLayout } from '../abi/fuse.js'
import type { Decoded, Field } from '../abi/struct.js'

/** The decoded header. */
export type FuseInHeader = Decoded<typeof fuse_in_header>

/** A request with the arguments that its operation declares. */
export interface FuseRequest<Input = unknown> {
  readonly unique: bigint
  readonly nodeid: bigint
  readonly caller: Caller
  readonly input: Input
  /** The first name, or '' where the operation has none. */
  readonly name: string
  /** What follows arguments and names; valid until the handler returns. */
  readonly data: Uint8Array
}

/** What a name names: an entry of a folder, or an extended attribute. */
export type NameKind = 'entry' | 'xattr'

/** How the body of a request is laid out. */
export interface RequestShape {
  readonly input?: Field<unknown> | undefined
  readonly names?: readonly NameKind[]
}

/** NAME_MAX as statfs(2) tells it, in bytes. As in kernfs no look-up is refused for its length: there is no such name. */
export const NAME_MAX = 255

const EXTENSION_UNIT = 8
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

const refuse = (what: string): ErrnoError => new ErrnoError('EINVAL', what)

function decodeName(bytes: Uint8Array, kind: NameKind): string {
  if (bytes.length === 0) throw refuse('an empty name')
  const name = utf8.decode(bytes)
  if (kind === 'entry' && (name.includes('/') || name === '.' || name === '..'))
    throw refuse(`the name "${name}"`)
  return name
}

/** Decodes what follows `header` in `bytes`. Throws EINVAL. */
export function decodeRequest(shape: RequestShape, header: FuseInHeader, bytes: Uint8Array): FuseRequest {
  if (header.len > bytes.length) throw refuse(`${bytes.length} bytes of a request of ${header.len}`)
  const end = header.len - header.total_extlen * EXTENSION_UNIT
  const start = headerLayout.size + (shape.input?.size ?? 0)
  if (start > end) throw refuse(`${end} bytes, ${start} wanted`)

  let name = ''
  let at = start
  for (const [index, kind] of (shape.names ?? []).entries()) {
    const stop = bytes.indexOf(0, at)
    if (stop < 0 || stop >= end) throw refuse('a name without an end')
    const decoded = decodeName(bytes.subarray(at, stop), kind)
    if (index === 0) name = decoded
    at = stop + 1
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    unique: header.unique,
    nodeid: header.nodeid,
    caller: { uid: header.uid, gid: header.gid, tid: header.pid },
    input: shape.input?.get(view, headerLayout.size),
    name,
    data: bytes.subarray(at, end),
  }
}
