/**
 * The supervisor: answers trapped calls until the last program under the filter is gone.
 *
 * Calls are answered side by side: one that waits for the server holds up nobody else. Each gets an answer, or its
 * caller would hang: a defect of this program reads as EIO.
 */
import { ErrnoError, errnoOf } from '../abi/errno.js'
import type { SyscallAbi } from '../abi/seccomp.js'
import { log } from '../log.js'
import type { Host, Listener, Trap } from './host.js'
import { type Outcome, refuse, resume } from './outcome.js'
import { perfEventOpen } from './perf-event-open.js'
import { perfIoctl } from './perf-ioctl.js'
import { perfPrctl } from './perf-prctl.js'
import { PmuTypes } from './pmu-types.js'

type Decide = (trap: Trap) => Outcome | Promise<Outcome>

function deliver(listener: Listener, trap: Trap, outcome: Outcome): void {
  switch (outcome.kind) {
    case 'resume':
      listener.resume(trap)
      break
    case 'refuse':
      listener.refuse(trap, outcome.code)
      break
    case 'complete':
      listener.complete(trap, outcome.value)
      break
    case 'inject':
      listener.inject(trap, outcome.fd, outcome.isCloseOnExec)
      break
    case 'gone':
      break
  }
}

/** The errno that a thrown error stands for; an unexpected error is logged with its stack. */
function refusalOf(error: unknown): Outcome {
  const code = errnoOf(error)
  if (!(error instanceof ErrnoError)) log.exec('unexpected: %O', error)
  return refuse(code)
}

async function decided(decide: Decide, trap: Trap): Promise<Outcome> {
  try {
    return await decide(trap)
  } catch (error) {
    return refusalOf(error)
  }
}

/** Delivers an answer. Where the caller has no room for a descriptor it gets that errno instead. */
function answer(listener: Listener, trap: Trap, outcome: Outcome): void {
  try {
    deliver(listener, trap, outcome)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') log.exec('thread %d is gone', trap.tid)
    else if (outcome.kind === 'inject') answer(listener, trap, refusalOf(error))
    else throw error
  }
}

async function serve({ listener, kernel }: Host, decide: Decide, trap: Trap): Promise<void> {
  const outcome = await decided(decide, trap)
  log.exec('thread %d, system call %d: %o', trap.tid, trap.nr, outcome)
  try {
    answer(listener, trap, outcome)
  } finally {
    // The caller has a descriptor of its own, or none: then the event ends here.
    if (outcome.kind === 'inject') kernel.close(outcome.fd)
  }
}

/** Answers until no program is left under the filter. */
export async function supervise(host: Host, abi: SyscallAbi): Promise<void> {
  const types = new PmuTypes(host.tree, host.kernel)
  const decide: Decide = trap => {
    if (trap.nr === abi.perf_event_open) return perfEventOpen(host, types, trap)
    if (trap.nr === abi.prctl) return perfPrctl(host, trap)
    return trap.nr === abi.ioctl ? perfIoctl(host, trap) : resume
  }
  while (await host.listener.wait()) {
    const trap = host.listener.receive()
    if (trap) void serve(host, decide, trap)
  }
}
