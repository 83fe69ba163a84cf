/**
 * Words that have a meaning of their own in perf's event language, as of perf 5.10 to 7.2: an event that is called so
 * cannot be asked for by its name. Counterparts: tools/perf/util/parse-events.l, config_term_name() of parse-events.c,
 * tool_pmu.c. Only words that an event's name could be are here: those with a hyphen are not.
 */

const keywords: ReadonlySet<string> = new Set(
  [
    // hardware and software events, and those of perf itself
    'cycles instructions branches faults cs migrations dummy',
    'duration_time user_time system_time has_pmem num_cores num_cpus num_cpus_online num_dies num_packages',
    'slots smt_on system_tsc_freq core_wide target_cpu',
    // caches, and what is done to them
    'l1d l1i llc l2 dtlb itlb branch bpu btb bpc node',
    'load loads read store stores write prefetch prefetches refs reference ops access misses miss',
    // terms
    'config config1 config2 config3 config4 name period freq branch_type time nr inherit overwrite percore raw',
    'hardware cpu event mem',
  ]
    .join(' ')
    .split(' '),
)

/** A raw event, `r1a8`, and modifiers, `u` of `cycles:u`, are words of any such letters. */
const RAW_EVENT = /^r[0-9a-f]+$/
const MODIFIERS = /^[ukhpgsdiwebrx]+$/

/** Whether perf reads a name as a word of its own. Upper case makes no difference to all versions of it. */
export function isPerfKeyword(name: string): boolean {
  const word = name.toLowerCase()
  return keywords.has(word) || RAW_EVENT.test(word) || MODIFIERS.test(word)
}
