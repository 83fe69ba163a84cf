/** Constants of mmap(2) and memfd_create(2). Counterpart: include/uapi/asm-generic/mman-common.h, linux/memfd.h. */

export const PROT_READ = 0x1
export const PROT_WRITE = 0x2

export const MAP_SHARED = 0x01
export const MAP_PRIVATE = 0x02
export const MAP_ANONYMOUS = 0x20

export const MFD_CLOEXEC = 0x0001
