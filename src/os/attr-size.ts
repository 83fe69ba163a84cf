/**
 * How large perf_event_attr is to the running kernel. Counterpart: kernel/events/core.c, perf_copy_attr(), which
 * answers a size it cannot take with E2BIG and writes its own size back.
 */
import { ErrnoError } from '../abi/errno.js'
import { perf_event_attr_layout } from '../abi/perf-event-attr.js'
import { perf_event_open } from './libc.js'

/** Below PERF_ATTR_SIZE_VER0, and not 0, which stands for it. */
const TOO_SMALL = 1

/** The size that the kernel knows, or undefined where it does not answer (no perf, seccomp, perf_event_paranoid). */
export function knownAttrSize(): number | undefined {
  const attr = perf_event_attr_layout.encode({ size: TOO_SMALL })
  try {
    perf_event_open(attr, { pid: 0, cpu: -1 })
  } catch (error) {
    if (error instanceof ErrnoError && error.code === 'E2BIG') return perf_event_attr_layout.decode(attr).size
  }
  return undefined
}
