/** A symbolic link: mode 0777 and size 0, as kernfs has them. Counterpart: fs/kernfs/symlink.c. */
import { S_IFLNK } from '../abi/fs.js'
import { Inode, type Owner } from './inode.js'
import type { Symlink } from './node.js'

/** Makes a symbolic link. A target that can change is a function, asked at each readlink(2). */
export function symbolicLink(options: {
  readonly owner: Owner
  readonly target: string | (() => string)
}): Symlink {
  const { owner, target } = options
  const inode = new Inode({ owner, mode: S_IFLNK | 0o777 })
  return {
    kind: 'symlink',
    ino: inode.ino,
    attributes: () => inode.attributes(1, 0),
    setAttributes: change => inode.change(change),
    readlink: typeof target === 'string' ? () => target : target,
  }
}
