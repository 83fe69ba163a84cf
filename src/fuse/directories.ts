/**
 * Reading folders. Counterpart: fs/fuse/readdir.c.
 *
 * A listing is a snapshot, taken at opendir(3) and again at rewinddir(3) (an offset of 0), so that a reader sees
 * each name once whatever comes and goes meanwhile. An entry's cookie is its place in the listing plus 1.
 */
import type { Caller } from '../abi/caller.js'
import { DT_DIR, R_OK } from '../abi/fs.js'
import { FUSE_DIRENT_ALIGN, fuse_dirent, type fuse_open_out, type fuse_read_in } from '../abi/fuse.js'
import type { Decoded } from '../abi/struct.js'
import type { Directory, Entry } from '../kernfs/node.js'
import { type FuseConnection, permit } from './connection.js'
import { MAX_READ } from './limits.js'
import type { FuseRequest } from './request.js'

type OpenOut = Partial<Decoded<typeof fuse_open_out>>

const utf8 = new TextEncoder()

function listing(connection: FuseConnection, nodeid: bigint, caller: Caller): readonly Entry[] {
  const directory = connection.nodes.directory(nodeid)
  const parent = connection.nodes.parentOf(nodeid)
  return [
    { name: '.', ino: nodeid, type: DT_DIR },
    { name: '..', ino: parent, type: DT_DIR },
    ...directory.entries(caller),
  ]
}

/** Opens a folder for reading. */
export function opendir(connection: FuseConnection, { nodeid, caller }: FuseRequest): OpenOut {
  const directory: Directory = connection.nodes.directory(nodeid)
  permit(directory.attributes(), caller, R_OK)
  return { fh: connection.handles.openDirectory(directory, listing(connection, nodeid, caller)) }
}

const align = (size: number): number => Math.ceil(size / FUSE_DIRENT_ALIGN) * FUSE_DIRENT_ALIGN

/** Where a cookie points; one beyond the listing, whatever its size, is its end. */
const placeOf = (cookie: bigint, { length }: readonly Entry[]): number =>
  cookie > BigInt(length) ? length : Number(cookie)

interface Place {
  readonly reply: Uint8Array
  readonly at: number
}

/** Writes one entry there; returns where the next one begins, or undefined where this one does not fit. */
function putEntry(entry: Entry, cookie: number, { reply, at }: Place): number | undefined {
  const name = utf8.encode(entry.name)
  const next = at + align(fuse_dirent.size + name.length)
  if (next > reply.length) return undefined
  const { ino, type } = entry
  fuse_dirent.encode({ ino, off: BigInt(cookie), namelen: name.length, type }, reply, at)
  reply.set(name, at + fuse_dirent.size)
  return next
}

/** As many whole entries as fit; none at the end. */
export function readdir(
  connection: FuseConnection,
  { nodeid, caller, input }: FuseRequest<Decoded<typeof fuse_read_in>>,
): Uint8Array {
  const handle = connection.handles.directory(input.fh)
  if (input.offset === 0n && !handle.isFresh) handle.entries = listing(connection, nodeid, caller)
  handle.isFresh = false

  const reply = new Uint8Array(Math.min(input.size, MAX_READ))
  const { entries } = handle
  let at = 0
  for (let place = placeOf(input.offset, entries); place < entries.length; place++) {
    const entry = entries[place]
    const next = entry && putEntry(entry, place + 1, { reply, at })
    if (next === undefined) break
    at = next
  }
  return reply.subarray(0, at)
}
