/**
 * The call by which `pmufs exec` finds out whether a supervisor answers perf_event_open here, and for which mount.
 *
 * Its flags are none that perf_event_open(2) knows: where nobody answers, the kernel says EINVAL before it looks at
 * anything else, and an outer seccomp filter says whatever it says to any perf_event_open.
 */

/** "pmufs" as five bytes of the argument `flags`. */
export const PROBE_FLAGS = 0x73_66_75_6d_70n
/** How much of the memory at the argument `attr` the supervisor reads, to know that it may. */
export const PROBE_MEMORY = 8
