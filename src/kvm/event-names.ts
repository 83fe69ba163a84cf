/**
 * What an event of `kvm` and `kvm_vm` is called in `events/`: by the name that its source has for it, save where that
 * would take a word from perf. perf 6.1 and its forerunners read every event's name of every PMU, in any case of letters,
 * as that event wherever it stands: an event "tlb_flush" makes `tlb:tlb_flush` unreadable, an event "msr" all of
 * `msr/tsc/`. Later ones read `-e NAME` as that event of every PMU that has it.
 *
 * Names are ABI as ids are. So that they are the same on every machine, those that are known to collide with something in
 * Linux are renamed everywhere, whether this kernel has that or not; the words of the running kernel decide about others.
 * Known names choose first, so that no name that a VMM makes up takes the file of one of them.
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
  /** Files of events/ by the names of what they stand for. */
  readonly #files = new Map<string, string>()
  /** Names that no other event's file may have, in small letters: perf 6.1 finds a PMU's events in any case. */
  readonly #used = new Set([...ofTracepoints.keys()].map(name => name.toLowerCase()))

  /** @param taken the words that mean something to perf on this machine without us */
  constructor(taken: Iterable<string> = []) {
    this.#taken = new Set([...taken].map(word => word.toLowerCase()))
    for (const name of knownNames) this.claim(name)
  }

  /** Whether an event of this name takes a word away that means something on this machine. */
  isTaken(name: string): boolean {
    return this.#taken.has(name.toLowerCase())
  }

  /** Gives an event of events/ its file, which is no other's from then on: sources may bring any names, and first come keeps. */
  claim(name: string): string {
    const file = this.fileOf(name)
    this.#files.set(name, file)
    this.#used.add(file.toLowerCase())
    return file
  }

  /** The file of events/ for what a source calls so: the one that it has, or the one that it would get. */
  fileOf(name: string): string {
    let file = this.#files.get(name)
    if (file !== undefined) return file
    file = name
    while (!this.#isFree(file)) file += COLLISION_SUFFIX
    return file
  }

  /** The file of events/ that a request means by a name that is none of them, if there is one. */
  fileFor(name: string): string {
    return this.fileOf(ofTracepoints.get(name) ?? name)
  }

  #isFree(file: string): boolean {
    const isWord = colliding.has(file.toLowerCase()) || isPerfKeyword(file) || this.isTaken(file)
    return !isWord && !this.#used.has(file.toLowerCase())
  }
}
