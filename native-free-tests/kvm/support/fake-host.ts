/** The machine as the perf core asks it: the threads that are put in, and rights to everything. */
import { Failure } from '../../../src/abi/errno.js'
import type { PerfHost, Task } from '../../../src/perf/task.js'

/** A thread of process 1000, where nothing else is said; it runs for a nanosecond each time it is asked. */
export function fakeTask(tid: number, tgid = 1000, startTime = 100n): Task & { isExited: boolean } {
  let runtime = 0n
  return {
    tid,
    tgid,
    startTime,
    isExited: false,
    runtime() {
      runtime += 1n
      return runtime
    },
    hold: () => undefined,
    release: () => undefined,
  }
}

export function fakeHost(tasks: readonly Task[] = []): PerfHost {
  return {
    nr_cpu_ids: 4,
    isCpuOnline: () => true,
    // Two packages: CPUs 0 and 1, and CPUs 2 and 3.
    packageOf: cpu => cpu >> 1,
    clock: () => 0n,
    findTask: tid => tasks.find(task => task.tid === tid) ?? new Failure('ESRCH'),
    mayObserve: () => true,
    isPerfmonCapable: () => true,
    paranoid: () => 2,
    maxSampleRate: () => 100_000n,
    maxStack: () => 127,
  }
}
