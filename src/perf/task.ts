/** What the perf core knows of the machine it runs on: threads, CPUs, clocks, rights, limits. All injected. */
import type { Caller } from '../abi/caller.js'
import type { Failure } from '../abi/errno.js'

/** A thread that is or was counted. One object for each thread while anybody holds it. */
export interface Task {
  readonly tid: number
  /** The process it belongs to. */
  readonly tgid: number
  /** Start time in clock ticks since boot (proc_pid_stat(5) field 22): with the tid it is an identity. */
  readonly startTime: bigint
  /** Whether it has exited; it never comes back. */
  readonly isExited: boolean
  /** Nanoseconds it has spent on a CPU, from an origin of its own; the last value after its end. */
  runtime(): bigint
  /** Takes a reference: it is followed until as many releases. */
  hold(): void
  release(): void
}

/** The machine, as the perf core asks it. */
export interface PerfHost {
  /** CPUs are numbered below this. */
  readonly nr_cpu_ids: number
  isCpuOnline(cpu: number): boolean
  /** Which package an online CPU is of, undefined where it does not say; absent: there is one package. */
  packageOf?(cpu: number): number | undefined
  /** Monotonic nanoseconds: the time of per-CPU contexts. */
  clock(): bigint
  /** The thread with this id (0: the caller's own), or ESRCH. The result is held for the asker, who releases it. */
  findTask(tid: number, caller: Caller): Task | Failure
  /** Whether the caller may observe the thread: CAP_PERFMON, or ptrace read access (ptrace(2)). */
  mayObserve(caller: Caller, task: Task): boolean
  /** Whether the caller has CAP_PERFMON or CAP_SYS_ADMIN. */
  isPerfmonCapable(caller: Caller): boolean
  /**
   * Whether the thread is on this CPU now, where the host can tell. Without it an event that names a thread and a
   * CPU is enabled and never placed: user space does not see where a thread runs.
   */
  isOnCpu?(task: Task, cpu: number): boolean
  /** /proc/sys/kernel/perf_event_paranoid */
  paranoid(): number
  /** /proc/sys/kernel/perf_event_max_sample_rate, in Hz */
  maxSampleRate(): bigint
  /** /proc/sys/kernel/perf_event_max_stack */
  maxStack(): number
}
