/** File modes, open flags, directory entry types and poll bits. Sources: stat(2), open(2), readdir(3), poll(2). */

export const S_IFMT = 0o170000
export const S_IFDIR = 0o040000
export const S_IFREG = 0o100000
export const S_IFLNK = 0o120000

export const DT_DIR = 4
export const DT_REG = 8
export const DT_LNK = 10

export const O_ACCMODE = 0o3
export const O_RDONLY = 0o0
export const O_WRONLY = 0o1
export const O_RDWR = 0o2
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_TRUNC = 0o1000
export const O_APPEND = 0o2000
export const O_NONBLOCK = 0o4000
export const O_CLOEXEC = 0o2000000
export const O_PATH = 0o10000000

/** Access modes of access(2), also the bits of one permission triple. */
export const R_OK = 4
export const W_OK = 2
export const X_OK = 1

export const POLLIN = 0x1
export const POLLPRI = 0x2
export const POLLOUT = 0x4
export const POLLERR = 0x8
export const POLLHUP = 0x10
export const POLLNVAL = 0x20
export const POLLRDNORM = 0x40
export const POLLWRNORM = 0x100
