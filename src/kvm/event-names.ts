/**
 * What an event of `kvm` and `kvm_vm` is called in `events/`: by the name that its source has for it, save where that
 * would take a word from perf. perf 6.1 and its forerunners read every event's name of every PMU, in any case of letters,
 * as that event wherever it stands: an event "tlb_flush" makes `tlb:tlb_flush` unreadable, an event "msr" all of
 * `msr/tsc/`. Later ones read `-e NAME` as that event of every PMU that has it.
 *
 * Names are ABI as ids are. So that they are the same on every machine, those that are known to collide with something in
 * Linux are renamed everywhere, whether this kernel has that or not; the words of the running kernel decide about others.
 */
import { isPerfKeyword } from '../abi/perf-keywords.js'
import { tracepointOfEvent } from '../abi/tracepoint.js'
import { knownNames } from './event-table.js'

/** As KVM calls its statistics on arm64 that would be called as its tracepoints: `hvc_exit_stat`. */
const COLLISION_SUFFIX = '_stat'

/** Statistics with the name of a tracepoint: tlb:tlb_flush. */
const colliding: ReadonlySet<string> = new Set(['tlb_flush'])

/** Tracepoints' own names, by which requests may ask for their events too. */
const ofTracepoints: ReadonlyMap<string, string> = new Map(
  knownNames.flatMap(name => {
    const tracepoint = tracepointOfEvent(name)
    return tracepoint === undefined ? [] : [[tracepoint, name]]
  }),
)

export class EventNames {
  readonly #taken: ReadonlySet<string>

  /** @param taken the words that mean something to perf on this machine without us */
  constructor(taken: Iterable<string> = []) {
    this.#taken = new Set([...taken].map(word => word.toLowerCase()))
  }

  /** Whether an event of this name takes a word away that means something on this machine. */
  isTaken(name: string): boolean {
    return this.#taken.has(name.toLowerCase())
  }

  /** The file of events/ for what a source calls so. */
  fileOf(name: string): string {
    const isFree = !(colliding.has(name) || isPerfKeyword(name) || this.isTaken(name))
    return isFree ? name : `${name}${COLLISION_SUFFIX}`
  }

  /** The file of events/ that a request means by a name that is none of them, if there is one. */
  fileFor(name: string): string {
    return this.fileOf(ofTracepoints.get(name) ?? name)
  }
}
