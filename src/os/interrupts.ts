/**
 * Whether a signal that came to a thread is to end its wait for an answer.
 *
 * A read or an open of a kernel's event cannot be interrupted, and no FUSE server can have a call restarted: what ends
 * here ends with EINTR. So a signal that tells a shell of a child's end, or a program of its timer's tick, does
 * not; one that kills the thread, or that a user sends, does.
 */
import {
  SIGCHLD,
  SIGCONT,
  SIGPROF,
  SIGSTOP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGURG,
  SIGVTALRM,
  SIGWINCH,
} from '../abi/signals.js'
import { threadStatus } from './proc-stat.js'

/** Those that stop a thread do so once it is answered, and it goes on later. */
const informing = [SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGVTALRM, SIGPROF, SIGWINCH]
  .map(signal => 1n << BigInt(signal - 1))
  .reduce((all, bit) => all | bit)

/** Whether a thread's wait is to end now. One of which nothing is known is taken at its word. */
export function isInterrupted(tid: number): boolean {
  const status = tid > 0 ? threadStatus(tid) : undefined
  if (!status) return true
  return (status.pending & ~status.blocked & ~status.ignored & ~informing) !== 0n
}
