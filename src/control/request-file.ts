/** A file that takes requests: mode 0600, owned by the mounting user, empty for stat(2). */
import { S_IFREG } from '../abi/fs.js'
import { Inode, type Owner } from '../kernfs/inode.js'
import type { File, OpenFile } from '../kernfs/node.js'

/** Whom the file belongs to. */
export interface RequestFileOptions {
  readonly owner: Owner
}

/** Makes a request file; `open` is told its inode number. */
export function requestFile({ owner }: RequestFileOptions, open: (ino: bigint) => OpenFile): File {
  const inode = new Inode({ owner, mode: S_IFREG | 0o600 })
  return {
    kind: 'file',
    ino: inode.ino,
    attributes: () => inode.attributes(1, 0),
    setAttributes: change => inode.change(change),
    open: () => open(inode.ino),
  }
}
