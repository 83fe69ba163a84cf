/** Finds out who answers perf_event_open in this thread, by a call that the kernel itself always refuses. */
import { errnoOf } from '../abi/errno.js'
import { syscall } from './libc.js'

/** The call: its flags, and how much memory of ours is looked at. */
export interface Probe {
  readonly flags: bigint
  readonly memory: number
}

/** The device number of the mount whose supervisor answers, or the name of the errno that came instead. */
export function probe({ flags, memory }: Probe): number | string {
  try {
    return syscall('perf_event_open', new Uint8Array(memory), -1, -1, -1, flags)
  } catch (error) {
    return errnoOf(error)
  }
}
