/** The socket on which the kernel tells of its objects (uevents). Counterpart: linux/netlink.h, lib/kobject_uevent.c. */
import { struct, u16, u32 } from './struct.js'

/** A netlink address: of the kernel, `nl_pid` 0. */
export const sockaddr_nl = struct('sockaddr_nl', 12, {
  nl_family: u16,
  nl_pad: u16,
  nl_pid: u32,
  nl_groups: u32,
})

export const AF_NETLINK = 16
export const NETLINK_KOBJECT_UEVENT = 15
/** The multicast group of what the kernel itself says; udev's own is the second. */
export const UEVENT_KERNEL_GROUP = 1

/** An uevent is at most UEVENT_BUFFER_SIZE, and its header. */
export const UEVENT_MESSAGE_SIZE = 4096
