/** Messages of recvmsg(2), as far as a descriptor that is passed needs them. Counterpart: linux/socket.h. */
import { s32, struct, u32, u64 } from './struct.js'

/** One piece of memory. */
export const iovec = struct('iovec', 16, { iov_base: u64, iov_len: u64 })

/** A message; the pointers are addresses in this process. */
export const msghdr = struct('msghdr', 56, {
  msg_name: u64,
  msg_namelen: u32,
  padding: u32,
  msg_iov: u64,
  msg_iovlen: u64,
  msg_control: u64,
  msg_controllen: u64,
  msg_flags: s32,
  padding2: u32,
})

/** The header of a control message with one descriptor behind it, padded as CMSG_SPACE(sizeof(int)) pads it. */
export const cmsg_rights = struct('cmsg_rights', 24, {
  cmsg_len: u64,
  cmsg_level: s32,
  cmsg_type: s32,
  fd: s32,
  padding: u32,
})

/** CMSG_LEN(sizeof(int)) */
export const CMSG_RIGHTS_LEN = 20n

export const AF_UNIX = 1
export const SOCK_STREAM = 1
export const SOCK_RAW = 3
export const SOCK_NONBLOCK = 0o4000
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SCM_RIGHTS = 1
export const MSG_CMSG_CLOEXEC = 0x40000000
