/**
 * Folders: one whose children are given, and one that is generated from what exists at each use.
 * Counterpart: fs/kernfs/dir.c. Size 0, and one link more for each subfolder; removal reaches everything below.
 */
import type { Caller } from '../abi/caller.js'
import { DT_DIR, DT_LNK, DT_REG, S_IFDIR } from '../abi/fs.js'
import { Inode, type Owner } from './inode.js'
import type { MaybeLater } from './later.js'
import type { Directory, Entry, Node } from './node.js'

interface DirectoryOptions {
  readonly owner: Owner
  /** Permission bits. Default 0755. */
  readonly mode?: number
  /** The inode number: 1n for the root of a mount. Default: one of its own. */
  readonly ino?: bigint
}

/** What makes a folder with given children. */
interface StaticDirectoryOptions extends DirectoryOptions {
  /** A map may be changed later, and the folder with it. */
  readonly children: ReadonlyMap<string, Node> | Readonly<Record<string, Node>>
}

/** What makes a folder that is generated. */
interface DynamicDirectoryOptions extends DirectoryOptions {
  /** The names there are now, in a stable order. */
  readonly names: (caller: Caller) => Iterable<string>
  /** The node of a name, or undefined where there is none. It is the caller's to keep identity (NodeCache). */
  readonly child: (name: string, caller: Caller) => Node | undefined
  /** How many of the names are folders. Default: none. */
  readonly subdirectories?: () => number
  readonly mkdir?: (name: string, mode: number, caller: Caller) => Directory
  readonly rmdir?: (name: string, caller: Caller) => MaybeLater<void>
  /** Called when the folder itself is removed: removes the nodes below. */
  readonly remove?: () => void
}

/** A folder that can be told that it is gone. */
export type RemovableDirectory = Directory & { remove(): void }

/** Makes a folder with given children. */
export function staticDirectory(options: StaticDirectoryOptions): RemovableDirectory {
  const { children } = options
  const map = children instanceof Map ? children : new Map(Object.entries(children))
  return dynamicDirectory({
    ...options,
    names: () => map.keys(),
    child: name => map.get(name),
    subdirectories: () => countDirectories(map.values()),
    remove: () => {
      for (const node of map.values()) node.remove?.()
    },
  })
}

/** Makes a folder that is generated from what exists at each use. */
export function dynamicDirectory(options: DynamicDirectoryOptions): RemovableDirectory {
  const { owner, mode = 0o755, ino, names, child, subdirectories, mkdir, rmdir } = options
  const inode = new Inode({ owner, mode: S_IFDIR | mode, ...(ino === undefined ? {} : { ino }) })
  return {
    kind: 'directory',
    ino: inode.ino,
    attributes: () => inode.attributes(2 + (subdirectories?.() ?? 0), 0),
    setAttributes: change => inode.change(change),
    lookup: (name, caller) => (inode.isRemoved ? undefined : child(name, caller)),
    entries(caller) {
      if (inode.isRemoved) return []
      const entries: Entry[] = []
      for (const name of names(caller)) {
        const node = child(name, caller)
        if (node) entries.push({ name, ino: node.ino, type: entryTypes[node.kind] })
      }
      return entries
    },
    ...(mkdir && { mkdir }),
    ...(rmdir && { rmdir }),
    remove() {
      inode.remove()
      options.remove?.()
    },
  }
}

const entryTypes = { directory: DT_DIR, file: DT_REG, symlink: DT_LNK } as const

function countDirectories(nodes: Iterable<Node>): number {
  let count = 0
  for (const node of nodes) if (node.kind === 'directory') count++
  return count
}
