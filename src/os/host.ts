/** This machine, as the perf core asks it: PerfHost of src/perf/task.ts. */
import { readFileSync } from 'node:fs'
import type { Caller } from '../abi/caller.js'
import type { Failure } from '../abi/errno.js'
import { hasCpu, parseCpuList } from './cpu-list.js'
import { isPerfmonCapable, mayObserve } from './credentials.js'
import { rereadFile } from './reread-file.js'
import type { LinuxTask, LinuxTasks } from './tasks.js'

const possibleCpus = rereadFile('/sys/devices/system/cpu/possible')
const onlineCpus = rereadFile('/sys/devices/system/cpu/online')
const paranoid = rereadFile('/proc/sys/kernel/perf_event_paranoid')
const maxSampleRate = rereadFile('/proc/sys/kernel/perf_event_max_sample_rate')
const maxStack = rereadFile('/proc/sys/kernel/perf_event_max_stack')

/** The CPU on which what belongs to no CPU is counted. */
export const firstOnlineCpu = (): number => parseCpuList(onlineCpus())[0]?.[0] ?? 0

/** Threads, CPUs, clock, rights and limits of the running kernel; limits are read anew at each question. */
export class LinuxHost {
  readonly nr_cpu_ids = Math.max(...parseCpuList(possibleCpus()).map(([, last]) => last)) + 1
  readonly #tasks: LinuxTasks

  constructor(tasks: LinuxTasks) {
    this.#tasks = tasks
  }

  isCpuOnline(cpu: number): boolean {
    return hasCpu(onlineCpus(), cpu)
  }

  packageOf(cpu: number): number | undefined {
    try {
      return Number(readFileSync(`/sys/devices/system/cpu/cpu${cpu}/topology/physical_package_id`, 'latin1'))
    } catch {
      return undefined
    }
  }

  clock(): bigint {
    return process.hrtime.bigint()
  }

  findTask(tid: number, caller: Caller): LinuxTask | Failure {
    return this.#tasks.find(tid === 0 ? caller.tid : tid)
  }

  mayObserve(caller: Caller, task: { readonly tid: number }): boolean {
    return mayObserve(caller, task.tid)
  }

  /** An ordinary user's own server gives its user nothing that the user could not take: it stands to him as the kernel to root. */
  isPerfmonCapable(caller: Caller): boolean {
    return (caller.uid !== 0 && caller.uid === process.geteuid?.()) || isPerfmonCapable(caller)
  }

  paranoid(): number {
    return Number(paranoid())
  }

  maxSampleRate(): bigint {
    return BigInt(maxSampleRate())
  }

  maxStack(): number {
    return Number(maxStack())
  }
}
