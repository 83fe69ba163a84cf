/** Opens and uses nodes directly, as a FUSE server would, for trees that answer at once. */
import type { Caller } from '../../../src/abi/caller.js'
import { ErrnoError } from '../../../src/abi/errno.js'
import { O_RDONLY, O_WRONLY } from '../../../src/abi/fs.js'
import { Later, type MaybeLater } from '../../../src/kernfs/later.js'
import type { Directory, Node, OpenFile } from '../../../src/kernfs/node.js'

export const root: Caller = { uid: 0, gid: 0, tid: 1 }
export const user: Caller = { uid: 1000, gid: 1000, tid: 2 }
export const owner = { uid: 0, gid: 0 }

/** A value that must be there at once. */
export function atOnce<T>(value: MaybeLater<T>): T {
  if (value instanceof Later) throw new Error('the value comes later')
  return value
}

/** The node at a path; intermediate links are not followed. */
export function find(from: Node, path: string): Node {
  return path.split('/').reduce((node, name) => {
    const next = node.kind === 'directory' ? node.lookup(name, root) : undefined
    if (!next) throw new ErrnoError('ENOENT', `No "${name}" of "${path}"`)
    return next
  }, from)
}

export function open(node: Node, flags: number = O_RDONLY, caller: Caller = root): OpenFile {
  if (node.kind !== 'file') throw new ErrnoError('EISDIR')
  return atOnce(node.open(flags, caller))
}

/** Reads from an open file as read(2) or pread(2) does. */
export const pread = (file: OpenFile, offset = 0, size = 131_072): string =>
  Buffer.from(atOnce(file.read(offset, size, root))).toString()

export const pwrite = (file: OpenFile, data: string | Uint8Array, offset = 0): number =>
  atOnce(file.write(offset, Buffer.from(data), root))

/** What `cat` prints. */
export const cat = (node: Node): string => pread(open(node))

/** What `echo -n TEXT > FILE` returns. */
export const echo = (node: Node, data: string | Uint8Array): number => pwrite(open(node, O_WRONLY), data)

/** The names in a folder. */
export const names = (directory: Directory): string[] => directory.entries(root).map(entry => entry.name)

/** The errno's name that an operation fails with, or 'ok'. */
export function errnoFrom(operation: () => unknown): string {
  try {
    operation()
    return 'ok'
  } catch (error) {
    if (error instanceof ErrnoError) return error.code
    throw error
  }
}
