/** The contexts that have events: one for each thread, one for each CPU. Counterpart: find_get_context(). */
import { PerfEventContext } from './context.js'
import type { PerfHost, Task } from './task.js'

export class ContextTable {
  readonly #host: PerfHost
  readonly #byTask = new Map<Task, PerfEventContext>()
  readonly #byCpu = new Map<number, PerfEventContext>()

  constructor(host: PerfHost) {
    this.#host = host
  }

  /** A thread's context while it has events. */
  ofTask(task: Task): PerfEventContext | undefined {
    return this.#byTask.get(task)
  }

  /** The context that an event joins: its thread's, or its CPU's. Forgotten when its last event goes. */
  find(task: Task | undefined, cpu: number): PerfEventContext {
    return task ? this.#taskContext(task) : this.#cpuContext(cpu)
  }

  #taskContext(task: Task): PerfEventContext {
    const found = this.#byTask.get(task)
    if (found) return found
    const host = this.#host
    const fresh = new PerfEventContext(task, {
      now: () => task.runtime(),
      isOnCpu: cpu => host.isOnCpu?.(task, cpu) ?? false,
      onEmpty: () => this.#byTask.delete(task),
    })
    this.#byTask.set(task, fresh)
    return fresh
  }

  #cpuContext(cpu: number): PerfEventContext {
    const found = this.#byCpu.get(cpu)
    if (found) return found
    const fresh = new PerfEventContext(undefined, {
      now: () => this.#host.clock(),
      isOnCpu: here => here === cpu,
      onEmpty: () => this.#byCpu.delete(cpu),
    })
    this.#byCpu.set(cpu, fresh)
    return fresh
  }
}
