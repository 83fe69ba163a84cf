/** Opcodes, flags and notification codes of the FUSE protocol. Counterpart: include/uapi/linux/fuse.h (7.38 to 7.45). */

/** Operations (enum fuse_opcode). */
export const FUSE_OPCODE = {
  FUSE_LOOKUP: 1,
  FUSE_FORGET: 2,
  FUSE_GETATTR: 3,
  FUSE_SETATTR: 4,
  FUSE_READLINK: 5,
  FUSE_SYMLINK: 6,
  FUSE_MKNOD: 8,
  FUSE_MKDIR: 9,
  FUSE_UNLINK: 10,
  FUSE_RMDIR: 11,
  FUSE_RENAME: 12,
  FUSE_LINK: 13,
  FUSE_OPEN: 14,
  FUSE_READ: 15,
  FUSE_WRITE: 16,
  FUSE_STATFS: 17,
  FUSE_RELEASE: 18,
  FUSE_FSYNC: 20,
  FUSE_SETXATTR: 21,
  FUSE_GETXATTR: 22,
  FUSE_LISTXATTR: 23,
  FUSE_REMOVEXATTR: 24,
  FUSE_FLUSH: 25,
  FUSE_INIT: 26,
  FUSE_OPENDIR: 27,
  FUSE_READDIR: 28,
  FUSE_RELEASEDIR: 29,
  FUSE_FSYNCDIR: 30,
  FUSE_GETLK: 31,
  FUSE_SETLK: 32,
  FUSE_SETLKW: 33,
  FUSE_ACCESS: 34,
  FUSE_CREATE: 35,
  FUSE_INTERRUPT: 36,
  FUSE_BMAP: 37,
  FUSE_DESTROY: 38,
  FUSE_IOCTL: 39,
  FUSE_POLL: 40,
  FUSE_NOTIFY_REPLY: 41,
  FUSE_BATCH_FORGET: 42,
  FUSE_FALLOCATE: 43,
  FUSE_READDIRPLUS: 44,
  FUSE_RENAME2: 45,
  FUSE_LSEEK: 46,
  FUSE_COPY_FILE_RANGE: 47,
  FUSE_SETUPMAPPING: 48,
  FUSE_REMOVEMAPPING: 49,
  FUSE_SYNCFS: 50,
  FUSE_TMPFILE: 51,
  FUSE_STATX: 52,
  FUSE_COPY_FILE_RANGE_64: 53,
} as const

/** The name of an operation. */
export type FuseOpcodeName = keyof typeof FUSE_OPCODE

/** Notification codes, sent in fuse_out_header.error with unique 0. */
export const FUSE_NOTIFY_POLL = 1

/** fuse_init_in.flags and fuse_init_out.flags */
export const FUSE_ATOMIC_O_TRUNC = 1 << 3
export const FUSE_BIG_WRITES = 1 << 5
export const FUSE_PARALLEL_DIROPS = 1 << 18
export const FUSE_ABORT_ERROR = 1 << 21
export const FUSE_MAX_PAGES = 1 << 22

/** fuse_open_out.open_flags */
export const FOPEN_DIRECT_IO = 1 << 0
export const FOPEN_NONSEEKABLE = 1 << 2
export const FOPEN_STREAM = 1 << 4
export const FOPEN_NOFLUSH = 1 << 5

/** fuse_setattr_in.valid */
export const FATTR_MODE = 1 << 0
export const FATTR_UID = 1 << 1
export const FATTR_GID = 1 << 2
export const FATTR_SIZE = 1 << 3
export const FATTR_ATIME = 1 << 4
export const FATTR_MTIME = 1 << 5
export const FATTR_FH = 1 << 6
export const FATTR_ATIME_NOW = 1 << 7
export const FATTR_MTIME_NOW = 1 << 8

/** fuse_ioctl_in.flags */
export const FUSE_IOCTL_DIR = 1 << 4

/** fuse_poll_in.flags: somebody sleeps. */
export const FUSE_POLL_SCHEDULE_NOTIFY = 1 << 0

/** The least buffer that read(2) on the device accepts. */
export const FUSE_MIN_READ_BUFFER = 8192
