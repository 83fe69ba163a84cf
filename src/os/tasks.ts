/**
 * The threads that are counted. Counterpart: struct task_struct, as far as kernel/events/core.c uses it.
 *
 * One object for each thread while anybody holds it; its descriptors are closed with the last reference or with the
 * thread's end, whichever comes first. The thread's id and start time are its identity: a thread that came later with
 * the same id is another task, and the first stays exited.
 */
import { ErrnoError, Failure } from '../abi/errno.js'
import { close } from './libc.js'
import { isExitState, threadStat, threadStatus } from './proc-stat.js'
import { ExitSet, exitProbe, hasThreadPidfds, openThreadPidfd } from './thread-exit.js'
import { openRuntime, type ThreadRuntime } from './thread-runtime.js'

/** A thread that was found living, with what is open to follow it. */
interface Thread {
  readonly tid: number
  readonly tgid: number
  readonly startTime: bigint
  /** Undefined on a kernel before 6.9. */
  readonly pidfd: number | undefined
  readonly runtime: ThreadRuntime
}

const noThread = (tid: number): string => `Thread ${tid} does not exist`

function identify(tid: number): Pick<Thread, 'tid' | 'tgid' | 'startTime'> {
  const stat = threadStat(tid)
  const status = threadStatus(tid)
  if (!stat || !status || isExitState(stat.state)) throw new ErrnoError('ESRCH', noThread(tid))
  return { tid, tgid: status.tgid, startTime: stat.startTime }
}

function openThread(tid: number, exits: ExitSet): Thread {
  const pidfd = openThreadPidfd(tid)
  try {
    if (pidfd !== undefined) exits.add(pidfd)
    return { ...identify(tid), pidfd, runtime: openRuntime(tid) }
  } catch (error) {
    if (pidfd !== undefined) close(pidfd)
    throw error
  }
}

/** How an older kernel is asked: the start time tells the thread from a later one with the same id. */
function procProbe({ tid, startTime }: Thread): () => boolean {
  return () => {
    const stat = threadStat(tid)
    return stat === undefined || stat.startTime !== startTime || isExitState(stat.state)
  }
}

/** A thread of this machine: Task of src/perf/task.ts. */
export class LinuxTask {
  readonly tid: number
  readonly tgid: number
  readonly startTime: bigint
  readonly #pidfd: number | undefined
  readonly #hasExited: () => boolean
  readonly #runtime: ThreadRuntime
  readonly #onUnused: () => void
  #lastRuntime = 0n
  #references = 1
  #isExited = false
  #isOpen = true

  constructor(thread: Thread, onUnused: () => void) {
    this.tid = thread.tid
    this.tgid = thread.tgid
    this.startTime = thread.startTime
    this.#pidfd = thread.pidfd
    this.#hasExited = thread.pidfd === undefined ? procProbe(thread) : exitProbe(thread.pidfd)
    this.#runtime = thread.runtime
    this.#onUnused = onUnused
  }

  /** Asks the kernel each time until it is so: an exit that somebody waited for is always seen. */
  get isExited(): boolean {
    if (this.#isOpen) this.#isExited ||= this.#hasExited()
    return this.#isExited
  }

  /** Nanoseconds on a CPU; after the end the last value. */
  runtime(): bigint {
    if (this.#isOpen) this.#lastRuntime = this.#runtime.read() ?? this.#lastRuntime
    return this.#lastRuntime
  }

  hold(): void {
    this.#references += 1
  }

  release(): void {
    this.#references -= 1
    if (this.#references > 0) return
    this.#onUnused()
    this.close()
  }

  /** Reads the time for the last time and gives the descriptors back; the thread is asked nothing more. */
  close(): void {
    if (!this.#isOpen) return
    this.#isExited ||= this.#hasExited()
    this.runtime()
    this.#isOpen = false
    this.#runtime.close()
    if (this.#pidfd !== undefined) close(this.#pidfd)
  }
}

/** How late the end of a thread may wake somebody on a kernel that does not tell of it; a read sees it at once. */
const COLLECT_MS = 100

/** All threads that are held, and the news of their exits. */
export class LinuxTasks {
  readonly #current = new Map<number, LinuxTask>()
  /** By pidfd, or on a kernel before 6.9 by a negative number of our own. */
  readonly #watched = new Map<number, LinuxTask>()
  readonly #exits = new ExitSet()
  readonly #onExit: (task: LinuxTask) => void
  /** Milliseconds after which exits are to be collected though `fd` is not readable; -1: there is no need to. */
  readonly interval = hasThreadPidfds() ? -1 : COLLECT_MS
  #lastKey = 0

  /** @param onExit called by collectExits(), once for each held thread that has exited */
  constructor(onExit: (task: LinuxTask) => void) {
    this.#onExit = onExit
  }

  /** Readable while there are exits to collect; on a kernel before 6.9 it never is. */
  get fd(): number {
    return this.#exits.fd
  }

  /** The living thread with this id, held for the asker; ESRCH, or why it cannot be followed (EMFILE). */
  find(tid: number): LinuxTask | Failure {
    const known = this.#current.get(tid)
    if (known && !known.isExited) {
      known.hold()
      return known
    }
    try {
      return this.#follow(tid)
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error
      return new Failure(
        error.code,
        error.code === 'ESRCH' ? noThread(tid) : `Cannot follow thread ${tid}: ${error.message}`,
      )
    }
  }

  /** Reports threads that have exited; where they are many the descriptor stays readable for the next call. */
  collectExits(): void {
    for (const key of [...this.#exits.exited(), ...this.#exitedWithoutPidfd()]) {
      const task = this.#watched.get(key)
      // What onExit did may have put another thread's pidfd in the place of one that was listed.
      if (!task?.isExited) continue
      this.#watched.delete(key)
      task.close()
      this.#onExit(task)
    }
  }

  close(): void {
    for (const task of this.#watched.values()) task.close()
    this.#watched.clear()
    this.#exits.close()
  }

  #exitedWithoutPidfd(): number[] {
    if (this.#lastKey === 0) return []
    return [...this.#watched].filter(([key, task]) => key < 0 && task.isExited).map(([key]) => key)
  }

  #follow(tid: number): LinuxTask {
    const thread = openThread(tid, this.#exits)
    const key = thread.pidfd ?? --this.#lastKey
    const task = new LinuxTask(thread, () => {
      this.#watched.delete(key)
      if (this.#current.get(tid) === task) this.#current.delete(tid)
    })
    // What was read of /proc and the perf event belong to this thread only if it lived until now.
    if (task.isExited) {
      task.close()
      throw new ErrnoError('ESRCH', noThread(tid))
    }
    this.#watched.set(key, task)
    this.#current.set(tid, task)
    return task
  }
}
