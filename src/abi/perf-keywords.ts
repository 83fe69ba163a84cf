/**
 * Words that have a meaning of their own in perf's event language, as of perf 5.10 to 7.2. Counterparts:
 * tools/perf/util/parse-events.l, config_term_name() of parse-events.c, tool_pmu.c.
 */

const words = (...lines: readonly string[]): ReadonlySet<string> => new Set(lines.join(' ').split(' '))

/** Read as an event, or as a part of one's name: `cycles`, and `L1-dcache-load-misses` of caches. */
const events = words(
  // hardware and software events, and those of perf itself
  'cycles instructions branches faults cs migrations dummy',
  'duration_time user_time system_time has_pmem num_cores num_cpus num_cpus_online num_dies num_packages',
  'slots smt_on system_tsc_freq core_wide target_cpu',
  // caches, and what is done to them
  'l1d l1i llc l2 dtlb itlb branch bpu btb bpc node',
  'load loads read store stores write prefetch prefetches refs reference ops access misses miss',
)

/** Read as a term between the slashes of `PMU/TERM/`. */
const terms = words(
  'config config1 config2 config3 config4 name period freq branch_type time nr inherit no-inherit overwrite',
  'no-overwrite percore raw hardware cpu metric-id call-graph stack-size max-stack aux-output aux-action',
  'aux-sample-size driver-config ratio-to-prev',
)

/** What stands before a colon, or in a PMU's format/. */
const others = words('event mem')

/** A raw event, `r1a8`. */
const RAW_EVENT = /^r[0-9a-f]+$/i
/** Modifiers, `u` of `cycles:u`. */
const MODIFIERS = /^[ukhpPGHSDIWebRX]+$/
const MODIFIERS_OF_ANY_CASE = new RegExp(MODIFIERS, 'i')

/** Whether perf reads a name between slashes as a term of its own. */
export const isPerfTerm = (name: string): boolean => terms.has(name)

/** Whether perf reads a name where an event begins as an event, or as what stands behind one. */
export const isPerfEvent = (name: string): boolean =>
  events.has(name.toLowerCase()) || RAW_EVENT.test(name) || MODIFIERS.test(name)

/**
 * Whether perf reads a name as a word of its own anywhere: an event so called cannot be asked for by its name alone.
 * Upper case makes no difference to all versions of it.
 */
export function isPerfKeyword(name: string): boolean {
  const word = name.toLowerCase()
  const isWord = events.has(word) || terms.has(word) || others.has(word)
  return isWord || RAW_EVENT.test(word) || MODIFIERS_OF_ANY_CASE.test(word)
}
