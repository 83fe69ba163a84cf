/** Tells of names in a program's PMU that take a word from perf: they are the program's own, and stay. */
import type { Pmu } from './own-pmu.js'

/** @param isTaken whether a word means something to perf on this machine without this PMU */
export function reportTaken(
  { name, attr_groups }: Pmu,
  isTaken: (word: string) => boolean,
  report: (message: string) => void,
): void {
  const events = attr_groups.filter(group => group.name === 'events').flatMap(({ attrs }) => attrs)
  const taken = events.map(event => event.name).filter(isTaken)
  if (taken.length === 0) return
  const which = taken.map(event => `"${event}"`).join(', ')
  report(
    `PMU "${name}" has events named as a tracepoint or PMU of this machine, or as an event of one: ${which}. ` +
      'perf 6.1 and older can then not parse these under pmufs exec: choose other names',
  )
}
