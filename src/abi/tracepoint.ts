/** Tracepoints by name. */

const PREFIX = 'trace_'

/**
 * What an event of a PMU is called that counts a tracepoint's hits: as the function that raises it. `kvm_exit` is
 * `trace_kvm_exit()` in the kernel, and no tracepoint has such a name.
 */
export const eventOfTracepoint = (tracepoint: string): string => `${PREFIX}${tracepoint}`

/** The tracepoint whose hits an event of this name counts, if it does. */
export const tracepointOfEvent = (event: string): string | undefined =>
  event.startsWith(PREFIX) ? event.slice(PREFIX.length) : undefined
