/** POSIX timers whose signal goes to one thread: timer_create(2), timer_settime(2). Counterpart: asm-generic/siginfo.h. */
import { array, s32, s64, struct, u64 } from './struct.js'

/** What a timer does: `sigev_tid` is what the union begins with where one thread gets the signal. */
export const sigevent = struct('sigevent', 64, {
  sigev_value: u64,
  sigev_signo: s32,
  sigev_notify: s32,
  sigev_tid: s32,
  padding: array(s32, 11),
})

export const timespec = struct('timespec', 16, { tv_sec: s64, tv_nsec: s64 })

/** When a timer is to ring, from now, and how often then; all 0 stops it. */
export const itimerspec = struct('itimerspec', 32, { it_interval: timespec, it_value: timespec })

export const SIGEV_THREAD_ID = 4
export const CLOCK_MONOTONIC = 1
