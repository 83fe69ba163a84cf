/**
 * Layouts of the FUSE protocol, version 7.38. Counterpart: include/uapi/linux/fuse.h.
 *
 * Only what this program sends or reads is here. Newer kernels append to some structures (init_out), shorter ones
 * of older kernels are marked where they matter. Times of validity are unsigned in the header and so are they here.
 */
import { array, s32, struct, u16, u32, u64 } from './struct.js'

/** The protocol version that the layouts below are of. */
export const FUSE_KERNEL_VERSION = 7
export const FUSE_KERNEL_MINOR_VERSION = 38

/** The node id of the root folder, given by the protocol. */
export const FUSE_ROOT_ID = 1n

export const fuse_in_header = struct('fuse_in_header', 40, {
  len: u32,
  opcode: u32,
  unique: u64,
  nodeid: u64,
  uid: u32,
  gid: u32,
  pid: u32,
  total_extlen: u16,
  padding: u16,
})

export const fuse_out_header = struct('fuse_out_header', 16, { len: u32, error: s32, unique: u64 })

export const fuse_attr = struct('fuse_attr', 88, {
  ino: u64,
  size: u64,
  blocks: u64,
  atime: u64,
  mtime: u64,
  ctime: u64,
  atimensec: u32,
  mtimensec: u32,
  ctimensec: u32,
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  rdev: u32,
  blksize: u32,
  flags: u32,
})

export const fuse_entry_out = struct('fuse_entry_out', 128, {
  nodeid: u64,
  generation: u64,
  entry_valid: u64,
  attr_valid: u64,
  entry_valid_nsec: u32,
  attr_valid_nsec: u32,
  attr: fuse_attr,
})

export const fuse_forget_in = struct('fuse_forget_in', 8, { nlookup: u64 })

export const fuse_forget_one = struct('fuse_forget_one', 16, { nodeid: u64, nlookup: u64 })

export const fuse_batch_forget_in = struct('fuse_batch_forget_in', 8, { count: u32, dummy: u32 })

export const fuse_getattr_in = struct('fuse_getattr_in', 16, { getattr_flags: u32, dummy: u32, fh: u64 })

export const fuse_attr_out = struct('fuse_attr_out', 104, {
  attr_valid: u64,
  attr_valid_nsec: u32,
  dummy: u32,
  attr: fuse_attr,
})

export const fuse_setattr_in = struct('fuse_setattr_in', 88, {
  valid: u32,
  padding: u32,
  fh: u64,
  size: u64,
  lock_owner: u64,
  atime: u64,
  mtime: u64,
  ctime: u64,
  atimensec: u32,
  mtimensec: u32,
  ctimensec: u32,
  mode: u32,
  unused4: u32,
  uid: u32,
  gid: u32,
  unused5: u32,
})

export const fuse_mknod_in = struct('fuse_mknod_in', 16, { mode: u32, rdev: u32, umask: u32, padding: u32 })

export const fuse_mkdir_in = struct('fuse_mkdir_in', 8, { mode: u32, umask: u32 })

export const fuse_rename_in = struct('fuse_rename_in', 8, { newdir: u64 })

export const fuse_rename2_in = struct('fuse_rename2_in', 16, { newdir: u64, flags: u32, padding: u32 })

export const fuse_link_in = struct('fuse_link_in', 8, { oldnodeid: u64 })

export const fuse_open_in = struct('fuse_open_in', 8, { flags: u32, open_flags: u32 })

export const fuse_create_in = struct('fuse_create_in', 16, {
  flags: u32,
  mode: u32,
  umask: u32,
  open_flags: u32,
})

export const fuse_open_out = struct('fuse_open_out', 16, { fh: u64, open_flags: u32, padding: u32 })

export const fuse_release_in = struct('fuse_release_in', 24, {
  fh: u64,
  flags: u32,
  release_flags: u32,
  lock_owner: u64,
})

export const fuse_flush_in = struct('fuse_flush_in', 24, {
  fh: u64,
  unused: u32,
  padding: u32,
  lock_owner: u64,
})

export const fuse_read_in = struct('fuse_read_in', 40, {
  fh: u64,
  offset: u64,
  size: u32,
  read_flags: u32,
  lock_owner: u64,
  flags: u32,
  padding: u32,
})

export const fuse_write_in = struct('fuse_write_in', 40, {
  fh: u64,
  offset: u64,
  size: u32,
  write_flags: u32,
  lock_owner: u64,
  flags: u32,
  padding: u32,
})

export const fuse_write_out = struct('fuse_write_out', 8, { size: u32, padding: u32 })

export const fuse_kstatfs = struct('fuse_kstatfs', 80, {
  blocks: u64,
  bfree: u64,
  bavail: u64,
  files: u64,
  ffree: u64,
  bsize: u32,
  namelen: u32,
  frsize: u32,
  padding: u32,
  spare: array(u32, 6),
})

export const fuse_fsync_in = struct('fuse_fsync_in', 16, { fh: u64, fsync_flags: u32, padding: u32 })

/** The length that holds unless FUSE_SETXATTR_EXT is negotiated (FUSE_COMPAT_SETXATTR_IN_SIZE). */
export const fuse_setxattr_in_compat = struct('fuse_setxattr_in', 8, { size: u32, flags: u32 })

export const fuse_getxattr_in = struct('fuse_getxattr_in', 8, { size: u32, padding: u32 })

export const fuse_getxattr_out = struct('fuse_getxattr_out', 8, { size: u32, padding: u32 })

export const fuse_access_in = struct('fuse_access_in', 8, { mask: u32, padding: u32 })

/** What every version of INIT begins with; the whole of it before 7.36. */
export const fuse_init_in_compat = struct('fuse_init_in', 16, {
  major: u32,
  minor: u32,
  max_readahead: u32,
  flags: u32,
})

export const fuse_init_in = struct('fuse_init_in', 64, {
  major: u32,
  minor: u32,
  max_readahead: u32,
  flags: u32,
  flags2: u32,
  unused: array(u32, 11),
})

export const fuse_init_out = struct('fuse_init_out', 64, {
  major: u32,
  minor: u32,
  max_readahead: u32,
  flags: u32,
  max_background: u16,
  congestion_threshold: u16,
  max_write: u32,
  time_gran: u32,
  max_pages: u16,
  map_alignment: u16,
  flags2: u32,
  unused: array(u32, 7),
})

export const fuse_interrupt_in = struct('fuse_interrupt_in', 8, { unique: u64 })

export const fuse_ioctl_in = struct('fuse_ioctl_in', 32, {
  fh: u64,
  flags: u32,
  cmd: u32,
  arg: u64,
  in_size: u32,
  out_size: u32,
})

export const fuse_ioctl_out = struct('fuse_ioctl_out', 16, {
  result: s32,
  flags: u32,
  in_iovs: u32,
  out_iovs: u32,
})

export const fuse_poll_in = struct('fuse_poll_in', 24, { fh: u64, kh: u64, flags: u32, events: u32 })

export const fuse_poll_out = struct('fuse_poll_out', 8, { revents: u32, padding: u32 })

export const fuse_notify_poll_wakeup_out = struct('fuse_notify_poll_wakeup_out', 8, { kh: u64 })

/** A directory entry without its name; name and padding to FUSE_DIRENT_ALIGN follow. */
export const fuse_dirent = struct('fuse_dirent', 24, { ino: u64, off: u64, namelen: u32, type: u32 })

/** Alignment of entries in a READDIR reply (FUSE_DIRENT_ALIGN). */
export const FUSE_DIRENT_ALIGN = u64.size
