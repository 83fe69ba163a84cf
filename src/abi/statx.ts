/** statx(2): attributes of a file, as many as are wanted. Counterpart: include/uapi/linux/stat.h. */
import { array, s32, s64, struct, u16, u32, u64 } from './struct.js'

const statx_timestamp = struct('statx_timestamp', 16, { tv_sec: s64, tv_nsec: u32, __reserved: s32 })

/** What statx(2) fills in; `stx_dev_major` and `stx_dev_minor` always. */
export const statx = struct('statx', 256, {
  stx_mask: u32,
  stx_blksize: u32,
  stx_attributes: u64,
  stx_nlink: u32,
  stx_uid: u32,
  stx_gid: u32,
  stx_mode: u16,
  __spare0: u16,
  stx_ino: u64,
  stx_size: u64,
  stx_blocks: u64,
  stx_attributes_mask: u64,
  stx_atime: statx_timestamp,
  stx_btime: statx_timestamp,
  stx_ctime: statx_timestamp,
  stx_mtime: statx_timestamp,
  stx_rdev_major: u32,
  stx_rdev_minor: u32,
  stx_dev_major: u32,
  stx_dev_minor: u32,
  stx_mnt_id: u64,
  stx_dio_mem_align: u32,
  stx_dio_offset_align: u32,
  __spare3: array(u64, 12),
})

/** What to fill in: the inode number. */
export const STATX_INO = 0x100
/** What the kernel has at hand will do: no file system's server is asked. */
export const AT_STATX_DONT_SYNC = 0x4000
export const AT_FDCWD = -100

/** A device number as st_dev of stat(2) has it. Counterpart: makedev(3). */
export const makedev = (major: number, minor: number): number =>
  Number(
    (BigInt(minor) & 0xffn) |
      ((BigInt(major) & 0xfffn) << 8n) |
      ((BigInt(minor) & ~0xffn) << 12n) |
      ((BigInt(major) & ~0xfffn) << 32n),
  )
