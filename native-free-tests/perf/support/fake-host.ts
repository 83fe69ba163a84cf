/** A machine of plain values: threads, CPUs, a clock and rights that a test sets as it likes. */
import type { Caller } from '../../../src/abi/caller.js'
import { Failure } from '../../../src/abi/errno.js'
import type { PerfHost, Task } from '../../../src/perf/task.js'

export const ROOT: Caller = { uid: 0, gid: 0, tid: 1 }
export const NOBODY: Caller = { uid: 65534, gid: 65534, tid: 2 }

export class FakeTask implements Task {
  readonly tid: number
  readonly tgid: number
  readonly startTime = 1n
  readonly uid: number
  isExited = false
  onCpu = -1
  time = 1_000n
  references = 0

  constructor(tid: number, uid = 0) {
    this.tid = tid
    this.tgid = tid
    this.uid = uid
  }

  runtime(): bigint {
    return this.time
  }

  hold(): void {
    this.references += 1
  }

  release(): void {
    this.references -= 1
  }
}

export class FakeHost implements PerfHost {
  nr_cpu_ids = 4
  readonly offline = new Set<number>()
  time = 5_000n
  level = 2
  readonly tasks = new Map<number, FakeTask>()
  /** Every question about rights and threads, in order. */
  readonly asked: string[] = []

  constructor(...tasks: readonly FakeTask[]) {
    for (const task of tasks) this.tasks.set(task.tid, task)
  }

  isCpuOnline(cpu: number): boolean {
    return !this.offline.has(cpu)
  }

  /** CPU 3 is alone in its package. */
  packageOf(cpu: number): number {
    return cpu === 3 ? 1 : 0
  }

  clock(): bigint {
    return this.time
  }

  findTask(tid: number, caller: Caller): Task | Failure {
    const task = this.tasks.get(tid === 0 ? caller.tid : tid)
    if (!task) return new Failure('ESRCH')
    task.hold()
    return task
  }

  mayObserve(caller: Caller, task: Task): boolean {
    return caller.uid === 0 || this.tasks.get(task.tid)?.uid === caller.uid
  }

  isPerfmonCapable(caller: Caller): boolean {
    return caller.uid === 0
  }

  isOnCpu(task: Task, cpu: number): boolean {
    return this.tasks.get(task.tid)?.onCpu === cpu
  }

  paranoid(): number {
    return this.level
  }

  maxSampleRate(): bigint {
    return 100_000n
  }

  maxStack(): number {
    return 127
  }
}
