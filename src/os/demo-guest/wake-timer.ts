/**
 * A signal to this thread a little later, which ends what blocks in it: SIGALRM, which the process must catch. It comes
 * again and again, as one that comes before the thread blocks ends nothing.
 *
 * An interrupt would end a guest's wait too, but with one pending a CPU need not trap the instruction that waits.
 */
import { SIGALRM } from '../../abi/signals.js'
import { CLOCK_MONOTONIC, itimerspec, SIGEV_THREAD_ID, sigevent } from '../../abi/timer.js'
import { gettid, syscall } from '../libc.js'

/** Nanoseconds: long enough that the guest is entered by then, or nothing would have been waited for. */
const DELAY = 2_000_000n

const delay = { tv_sec: 0n, tv_nsec: DELAY }
const repeated = itimerspec.encode({ it_interval: delay, it_value: delay })
const stopped = itimerspec.encode({})

export class WakeTimer {
  readonly #id: number

  /** The thread that makes it is the one that is woken. */
  constructor() {
    const id = new Int32Array(1)
    const event = { sigev_signo: SIGALRM, sigev_notify: SIGEV_THREAD_ID, sigev_tid: gettid() }
    syscall('timer_create', CLOCK_MONOTONIC, sigevent.encode(event), id)
    this.#id = id[0] ?? 0
  }

  /** Sends the first signal a little after this call. */
  start(): void {
    syscall('timer_settime', this.#id, 0, repeated, 0)
  }

  stop(): void {
    syscall('timer_settime', this.#id, 0, stopped, 0)
  }

  close(): void {
    syscall('timer_delete', this.#id)
  }
}
