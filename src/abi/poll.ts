/** What poll(2) and epoll(7) exchange with the kernel. Counterparts: asm-generic/poll.h, linux/eventpoll.h. */
import { s16, s32, struct, u32 } from './struct.js'
import type { Machine } from './syscalls.js'

/** One descriptor of poll(2). */
export const pollfd = struct('pollfd', 8, { fd: s32, events: s16, revents: s16 })

/** x86_64 packs the structure to what i386 has; `data` is cut into halves, of which only the low one is used. */
const packed = struct('epoll_event', 12, { events: u32, data: u32, data_high: u32 })
const aligned = struct('epoll_event', 16, { events: u32, padding: u32, data: u32, data_high: u32 })

/** The layout of struct epoll_event on a machine. */
export const epoll_event = (machine: Machine): typeof packed | typeof aligned =>
  machine === 'x86_64' ? packed : aligned

export const EPOLL_CLOEXEC = 0o2000000
export const EPOLL_CTL_ADD = 1
export const EPOLLIN = 0x1

/** Flags of eventfd(2). */
export const EFD_CLOEXEC = 0o2000000
export const EFD_NONBLOCK = 0o4000
