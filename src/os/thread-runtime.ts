/**
 * How long one thread has been on a CPU.
 *
 * A kernel software event that counts nothing (PERF_COUNT_SW_DUMMY) is held on the thread: its time_running advances
 * only while the thread runs, to the nanosecond, and stays readable after the thread's end. Where the host refuses the
 * event (perf_event_paranoid, seccomp, a kernel without perf) the first field of /proc/TID/schedstat gives the time to
 * within a tick; it can be read only while the thread lives.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { ErrnoError, errnoOf } from '../abi/errno.js'
import {
  PERF_FLAG,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
  PERF_TYPE_SOFTWARE,
} from '../abi/perf-event.js'
import { PERF_ATTR_SIZES, perf_event_attr_flags, perf_event_attr_layout } from '../abi/perf-event-attr.js'
import { setBits } from '../abi/struct.js'
import { log } from '../log.js'
import { close, perf_event_open, read } from './libc.js'

/** A thread's time on a CPU, in nanoseconds from an origin of its own; undefined once it cannot be read any more. */
export interface ThreadRuntime {
  read(): bigint | undefined
  close(): void
}

const PERF_COUNT_SW_DUMMY = 9n

/** Without exclude_kernel the event would need CAP_PERFMON where perf_event_paranoid is 2, though it counts nothing. */
const attr = perf_event_attr_layout.encode({
  type: PERF_TYPE_SOFTWARE,
  size: PERF_ATTR_SIZES.VER0,
  config: PERF_COUNT_SW_DUMMY,
  read_format: PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
  flags: setBits(0n, perf_event_attr_flags.exclude_kernel, 1n),
})

/** What read(2) gives for that read_format: value, time_enabled, time_running. */
const counts = new BigUint64Array(3)
const TIME_RUNNING = 2

/** The time as a held software event gives it. */
function eventRuntime(tid: number): ThreadRuntime {
  const fd = perf_event_open(attr, { pid: tid, cpu: -1, flags: PERF_FLAG.FD_CLOEXEC })
  return {
    read() {
      read(fd, counts)
      return counts[TIME_RUNNING]
    },
    close: () => void close(fd),
  }
}

const text = Buffer.alloc(128)

/** The time as a host without perf gives it. */
export function schedstatRuntime(tid: number): ThreadRuntime {
  const fd = openSync(`/proc/${tid}/schedstat`, 'r')
  return {
    read() {
      try {
        const length = readSync(fd, text, 0, text.length, 0)
        return BigInt(text.toString('latin1', 0, text.subarray(0, length).indexOf(' ')))
      } catch (error) {
        if (errnoOf(error) === 'ESRCH') return undefined
        throw error
      }
    },
    close: () => closeSync(fd),
  }
}

/** Follows a thread's time by the best means that this host allows. */
export function openRuntime(tid: number): ThreadRuntime {
  try {
    return eventRuntime(tid)
  } catch (error) {
    if (!(error instanceof ErrnoError) || error.code === 'ESRCH' || error.code === 'EMFILE') throw error
    log.os('thread %d: times come from schedstat, to within a tick: %s', tid, error.message)
    return schedstatRuntime(tid)
  }
}
