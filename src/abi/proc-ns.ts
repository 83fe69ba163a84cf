/** Namespaces as /proc shows them. Counterpart: include/linux/proc_ns.h. */

/** The inode of /proc/PID/ns/pid where that is the initial pid namespace, whose numbers the kernel's own names have. */
export const PROC_PID_INIT_INO = 0xeffffffc
