/**
 * The prctl options that switch all events that the calling thread has opened. The server switches those of ours, and
 * the kernel its own, as the call then runs. Counterpart: kernel/events/core.c, perf_event_task_enable() and
 * perf_event_task_disable().
 */
import { PR_TASK_PERF_EVENTS_DISABLE, PR_TASK_PERF_EVENTS_ENABLE } from '../abi/prctl.js'
import { log } from '../log.js'
import { int } from './argument.js'
import type { Host, Trap } from './host.js'
import { type Outcome, resume } from './outcome.js'

/** The options that the filter traps. */
export const trappedOptions: readonly number[] = [PR_TASK_PERF_EVENTS_DISABLE, PR_TASK_PERF_EVENTS_ENABLE]

/** Decides a trapped prctl. The call cannot fail: where the server is gone, so are its events. */
export async function perfPrctl({ tree }: Host, { tid, args: [option] }: Trap): Promise<Outcome> {
  try {
    await tree.tell(JSON.stringify({ op: 'prctl', option: int(option), caller: tid }))
  } catch (error) {
    log.exec('thread %d: its events were not switched: %O', tid, error)
  }
  return resume
}
