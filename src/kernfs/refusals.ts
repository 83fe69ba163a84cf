/**
 * What kernfs answers to operations that it does not have, or that a node lacks; as measured in /sys as root.
 * The order of checks is the VFS's: permission on the folder first, then whether the name exists, then these.
 * Counterparts: kernfs_dir_iops and kernfs_xattr_handlers in fs/kernfs, may_create() and vfs_*() in fs/namei.c.
 */
import type { ErrnoName } from '../abi/errno.js'
import { S_IFMT, S_IFREG } from '../abi/fs.js'

/** The errno of each operation that has only one. */
export const kernfsRefusals = {
  /** open(2) with O_CREAT of a name that is free, or mknod(2) of a regular file. */
  create: 'EACCES',
  /** mknod(2) of anything else. */
  mknod: 'EPERM',
  /** O_TMPFILE */
  tmpfile: 'EOPNOTSUPP',
  mkdir: 'EPERM',
  symlink: 'EPERM',
  link: 'EPERM',
  unlink: 'EPERM',
  rmdir: 'EPERM',
  rename: 'EPERM',
  fallocate: 'EOPNOTSUPP',
  /** fsync(2) of a folder; of a file it succeeds. */
  fsyncdir: 'EINVAL',
  ioctl: 'ENOTTY',
  /** setxattr(2) and removexattr(2) */
  setxattr: 'EOPNOTSUPP',
} as const satisfies Record<string, ErrnoName>

/** The errno of mknod(2) with this mode; without a type it means a regular file. */
export function mknodRefusal(mode: number): ErrnoName {
  const type = mode & S_IFMT
  return type === 0 || type === S_IFREG ? kernfsRefusals.create : kernfsRefusals.mknod
}

const knownNamespaces = ['user.', 'trusted.', 'security.']

/** The errno of getxattr(2): no attribute is ever set, and other namespaces (ACLs among them) do not exist. */
export function getxattrRefusal(name: string): ErrnoName {
  return knownNamespaces.some(namespace => name.startsWith(namespace)) ? 'ENODATA' : 'EOPNOTSUPP'
}
