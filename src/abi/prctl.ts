/** Options of prctl(2). Counterpart: include/uapi/linux/prctl.h. */

/** The signal that the calling process gets when the thread that made it ends. */
export const PR_SET_PDEATHSIG = 1
/** The calling thread's name, cut at 15 bytes. */
export const PR_SET_NAME = 15
/** Switches off every perf event that the calling thread has opened, whatever it counts. */
export const PR_TASK_PERF_EVENTS_DISABLE = 31
/** Switches them on. */
export const PR_TASK_PERF_EVENTS_ENABLE = 32
