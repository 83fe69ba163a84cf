/**
 * What PMUs and events may be called: what perf 5.10 to 7.2 find by its name on a command line, `PMU/EVENT/`, as that
 * event and nothing else. Counterparts: tools/perf/util/parse-events.l and pmu.c, pmu_aliases_parse().
 */
import { Failure } from '../abi/errno.js'
import { isPerfEvent, isPerfTerm } from '../abi/perf-keywords.js'
import type { AttributeGroup } from './pmu.js'

/** What a file of events/ that belongs to another one's event ends with. */
const suffixes = ['.unit', '.scale', '.snapshot', '.per-pkg'] as const

const hasSuffix = (name: string): boolean => suffixes.some(suffix => name.endsWith(suffix))

/** Newer perf looks a name up as it is given, in small and in capital letters, and no other way. */
const isOfOneCase = (name: string): boolean => name === name.toLowerCase() || name === name.toUpperCase()

/** Why an event cannot be called so, a clause; undefined: it can be. */
export function eventNameRefusal(name: string): string | undefined {
  if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name))
    return 'perf takes letters, digits, "_", "-" and ".", a letter or "_" first'
  if (!isOfOneCase(name)) return 'perf finds names in small letters or in capitals, not in both'
  if (hasSuffix(name))
    return `a file of events/ that ends with ${suffixes.join(', ')} describes another event`
  return isPerfTerm(name) ? 'perf reads it as a term of its own' : undefined
}

/** Why a PMU cannot be called so, a clause; undefined: it can be. */
export function pmuNameRefusal(name: string): string | undefined {
  if (!/^[A-Za-z_][A-Za-z0-9_.]*$/.test(name))
    return 'perf takes letters, digits, "_" and ".", a letter or "_" first'
  return isPerfEvent(name) ? 'perf reads it as an event of its own' : undefined
}

const namesIn = (groups: readonly AttributeGroup[], group: string): string[] =>
  groups.filter(({ name }) => name === group).flatMap(({ attrs }) => attrs.map(({ name }) => name))

/** Why a PMU's events cannot be called as they are; undefined: they can be. */
export function eventsRefusal(groups: readonly AttributeGroup[]): Failure | undefined {
  const files = new Set(namesIn(groups, 'events'))
  const terms = new Set(namesIn(groups, 'format'))
  for (const name of files) {
    if (hasSuffix(name) && files.has(name.slice(0, name.lastIndexOf('.')))) continue
    const why = terms.has(name) ? 'a term in format/ is called so' : eventNameRefusal(name)
    if (why !== undefined) return new Failure('EINVAL', `event name "${name}" is unfit: ${why}`)
  }
  return undefined
}
