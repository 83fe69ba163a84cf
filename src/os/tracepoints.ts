/**
 * The tracepoints of this machine's KVM, counted by the kernel's own perf events: TracepointCounters of
 * src/sources/tracepoint, and what the catalogue there is made of.
 */
import { existsSync, readFileSync } from 'node:fs'
import { ErrnoError } from '../abi/errno.js'
import {
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_SET_FILTER,
  PERF_FLAG,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
  PERF_TYPE_SOFTWARE,
  PERF_TYPE_TRACEPOINT,
} from '../abi/perf-event.js'
import { PERF_ATTR_SIZES, perf_event_attr_flags, perf_event_attr_layout } from '../abi/perf-event-attr.js'
import { setBits } from '../abi/struct.js'
import type { ReadFormat } from '../sources/tracepoint/catalogue.js'
import type { KvmKind } from '../sources/tracepoint/kinds.js'
import type { CountedThread, TracepointCounters } from '../sources/tracepoint/tracepoint-source.js'
import { close, ioctl, machine, perf_event_open, read } from './libc.js'
import { threadStat } from './proc-stat.js'
import { withTracefs } from './tracefs.js'

/** Opened disabled: what comes before the filter is set must not count. */
const disabled = setBits(0n, perf_event_attr_flags.disabled, 1n)

function openEvent(type: number, config: number, tid: number, cpu = -1): number {
  const attr = perf_event_attr_layout.encode({
    type,
    size: PERF_ATTR_SIZES.VER0,
    config: BigInt(config),
    flags: disabled,
    read_format: PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
  })
  return perf_event_open(attr, { pid: tid, cpu, flags: PERF_FLAG.FD_CLOEXEC })
}

function checkThread({ tid, startTime }: CountedThread): void {
  if (threadStat(tid)?.startTime !== startTime) throw new ErrnoError('ESRCH', `Thread ${tid} has ended`)
}

/** The count, and the two times of read_format. */
const value = new BigUint64Array(3)

/** Perf events of the kernel on threads of this machine. */
export const tracepointCounters: TracepointCounters = {
  open({ id, filter }, thread, cpu) {
    const fd = openEvent(PERF_TYPE_TRACEPOINT, id, thread.tid, cpu)
    try {
      checkThread(thread)
      if (filter !== undefined) ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter)
      ioctl(fd, PERF_EVENT_IOC_ENABLE)
      return fd
    } catch (error) {
      close(fd)
      throw error
    }
  },
  read(fd) {
    read(fd, value)
    return value[0] ?? 0n
  },
  times(fd) {
    read(fd, value)
    return { enabled: value[1] ?? 0n, running: value[2] ?? 0n }
  },
  close,
}

const PERF_COUNT_SW_DUMMY = 9

/**
 * Makes sure that this process may count in the kernel, by an event that counts nothing and touches no tracepoint.
 *
 * @throws {ErrnoError} EACCES without CAP_PERFMON where perf_event_paranoid is above 1
 */
export function checkKernelCounting(): void {
  close(openEvent(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_DUMMY, process.pid))
}

/** The module that enters guests. Both may be built in; the CPU then says which of them does. */
export function kvmKind(): KvmKind {
  if (machine() === 'aarch64') return 'arm64'
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'latin1'))?.[1]?.split(' ') ?? []
  if (existsSync('/sys/module/kvm_intel') && flags.includes('vmx')) return 'intel'
  if (existsSync('/sys/module/kvm_amd') && flags.includes('svm')) return 'amd'
  return 'other-x86'
}

/** Runs `use` with a reader of the `format` files of KVM's tracepoints. Throws an ErrnoError as withTracefs() does. */
export const withKvmFormats = <T>(use: (read: ReadFormat) => T): T =>
  withTracefs(readFile => use(tracepoint => readFile(`events/kvm/${tracepoint}/format`)))
