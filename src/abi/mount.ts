/** Flags of mount(2), umount2(2), fsopen(2) and fsmount(2). Counterparts: linux/mount.h, include/linux/fs.h. */

export const MS_NOSUID = 0x2
export const MS_NODEV = 0x4

/** Ends the connection of a FUSE mount even if it is in use. */
export const MNT_FORCE = 0x1
/** Takes the mount out of the tree now and frees it once nobody uses it. */
export const MNT_DETACH = 0x2

export const FSOPEN_CLOEXEC = 0x1
/** The command of fsconfig(2) that makes the file system. */
export const FSCONFIG_CMD_CREATE = 6
export const FSMOUNT_CLOEXEC = 0x1
