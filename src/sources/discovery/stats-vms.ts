/**
 * VMs that can be counted by the statistics descriptors that their VMMs hold open, or by the threads of their vCPUs:
 * takes a copy of each descriptor, once, and describes the VM. Whoever gets a description owns the copies in it.
 *
 * A VM is the same as at the last look while at least one of its vCPUs has the same thread and descriptor. Where none of
 * its threads could be told then, nothing but debugfs counts it, and it is the same while its folder there is. A process that ends a VM and makes the next one with the same threads and the same
 * descriptor numbers between two looks is not told from one that went on.
 */
import { ErrnoError } from '../../abi/errno.js'
import { log } from '../../log.js'
import { type DebugfsView, findVmFolder, type VmFolder } from '../debugfs/vm-folder.js'
import type { VcpuDescription, VmDescription, WholeDescription } from '../messages.js'
import { readStatsTable, type StatsTable } from '../stats/stats-table.js'
import type { Problem, Uncounted } from '../uncounted.js'
import type { KvmLink, VcpuLinks, WholeLinks } from './kvm-links.js'
import type { Descriptors, ProcView } from './proc-view.js'
import { type KvmProcess, startTimeOf } from './process-scan.js'
import { qemuGuestName } from './qemu-name.js'
import type { VcpuThread } from './vcpu-threads.js'
import { type Countable, noStats, notAsked, problemOf, problemsOf } from './vm-problems.js'

/** What is known of one VM: its description, where anything of it can be counted, and what cannot be. */
export interface DescribedVm {
  readonly vm?: VmDescription
  readonly uncounted: readonly Uncounted[]
}

interface Held extends VcpuDescription {
  /** The descriptor in the VMM that was copied. */
  readonly source?: number
  /** Why there is none. */
  readonly problem?: Problem
}

/** The descriptors of one VM in its VMM. */
export interface OneVmLinks {
  readonly vcpus: readonly VcpuLinks[]
  readonly whole: WholeLinks
}

interface Known {
  readonly key: string
  readonly vcpus: readonly Held[]
  /** The vCPUs whose threads were ever told: one that lost its own is unplugged, and not pending. */
  readonly told: ReadonlySet<number>
  /** A copy of its own statistics. */
  readonly statsFd: number | undefined
  readonly folder: VmFolder | undefined
}

/** Where a VM as a whole is counted, the best first. */
const wholeOf = ({ statsFd, folder }: Known): WholeDescription[] => [
  ...(statsFd === undefined ? [] : [{ source: 'stats', statsFd } as const]),
  ...(folder ? [{ source: 'debugfs', path: folder.path, events: folder.events } as const] : []),
]

const isSameVcpu = (a: VcpuDescription, b: VcpuDescription): boolean =>
  a.id === b.id && a.tid === b.tid && a.startTime === b.startTime

const isAnySame = (before: readonly Held[], now: readonly Held[]): boolean =>
  before.some(old => now.some(vcpu => isSameVcpu(vcpu, old)))

/** Whether a VM none of whose vCPUs was told is the one that it was: what is not counted may as well be. */
const isSameUntold = (before: Known | undefined, folder: VmFolder | undefined): boolean =>
  before?.vcpus.length === 0 && (before.folder === undefined || before.folder.inode === folder?.inode)

/** The machine, as far as VMs are described from it. */
export interface StatsMachine {
  readonly view: ProcView
  readonly descriptors: Descriptors
  /** Where it may be read. */
  readonly debugfs?: DebugfsView | undefined
}

export class StatsVms {
  readonly #view: ProcView
  readonly #descriptors: Descriptors
  readonly #debugfs: DebugfsView | undefined
  readonly #countable: Countable
  #known = new Map<string, Known>()
  #seen = new Map<string, Known>()
  #keys = 0

  constructor({ view, descriptors, debugfs }: StatsMachine, countable: Countable) {
    this.#view = view
    this.#descriptors = descriptors
    this.#debugfs = debugfs
    this.#countable = countable
  }

  /** Describes one VM of a process by what it has and by the threads that were found. */
  describe(process: KvmProcess, links: OneVmLinks, threads: ReadonlyMap<number, VcpuThread>): DescribedVm {
    const slot = `${process.tgid}.${process.startTime}.${links.vcpus[0]?.fds[0]}`
    const before = this.#known.get(slot)
    const vcpus = links.vcpus.flatMap(link => {
      const thread = threads.get(link.id)
      return thread ? [this.#hold(process, { link, thread, before })] : []
    })
    const known = this.#next(process, { slot, vcpus, links: links.whole })
    const whole = wholeOf(known)
    const untold = links.vcpus.filter(({ id }) => !threads.has(id))
    const pending = untold.filter(({ id }) => !known.told.has(id))
    const name = qemuGuestName(this.#view.commandLine(process.tgid))
    const identity = { tgid: process.tgid, ...(name === undefined ? {} : { name }) }
    const problems = problemsOf(this.#countable, { vcpus, pending, isWhole: whole.length > 0 })
    const uncounted = problems.map(problem => ({ ...identity, ...problem }))
    const source = this.#sourceOf(vcpus, pending)
    if (source === undefined && whole.length === 0) return { uncounted }
    this.#seen.set(slot, known)
    const statsProblem = vcpus.find(({ problem }) => problem && problem !== notAsked)?.problem
    const vm: VmDescription = {
      ...identity,
      key: known.key,
      startTime: process.startTime,
      isReal: true,
      source: source ?? 'debugfs',
      ...(statsProblem && { statsProblem: `${statsProblem.reason}; ${statsProblem.remedy}` }),
      vcpus: vcpus.map(({ id, tid, startTime, statsFd }) => ({
        id,
        tid,
        startTime,
        ...(statsFd === undefined ? {} : { statsFd }),
      })),
      ...(pending.length > 0 && { pending: pending.map(({ id }) => id) }),
      events: [],
      ...(whole.length > 0 && { whole }),
    }
    return { vm, uncounted }
  }

  /** Forgets the VMs that were not described since the last call. */
  sweep(): void {
    this.#known = this.#seen
    this.#seen = new Map()
  }

  /** The vCPU number of statistics whose link does not show it, read from their id. */
  vcpuOf(process: KvmProcess, link: KvmLink): number | undefined {
    try {
      const { fd, table } = this.#take(process, link)
      this.#descriptors.close(fd)
      const number = /\/vcpu-(\d+)$/.exec(table.id)?.[1]
      return number === undefined ? undefined : Number(number)
    } catch {
      return undefined
    }
  }

  /** The VM that a slot holds: what it was at the last look, while that is certain, or a new one. */
  #next(process: KvmProcess, vm: { slot: string; vcpus: readonly Held[]; links: WholeLinks }): Known {
    const { slot, vcpus, links } = vm
    const before = this.#known.get(slot)
    const isSeen = before !== undefined && isAnySame(before.vcpus, vcpus)
    const folder = (isSeen ? before.folder : undefined) ?? this.#folder(process, links.fds, vcpus)
    const last = isSeen || isSameUntold(before, folder) ? before : undefined
    if (!last) this.#keys += 1
    // Until a vCPU is told nothing would tell the next VM of the process from this one, whose statistics we held.
    const statsFd = vcpus.length > 0 ? this.#wholeStats(process, links.stats, last) : undefined
    return {
      key: last?.key ?? `stats:${slot}:${this.#keys}`,
      vcpus,
      told: new Set([...(last?.told ?? []), ...vcpus.map(({ id }) => id)]),
      statsFd,
      folder,
    }
  }

  /** What counts the vCPUs, those included that are to be told yet; undefined: nothing does. */
  #sourceOf(vcpus: readonly Held[], pending: readonly VcpuLinks[]): 'stats' | 'tracepoint' | undefined {
    const isHeld = vcpus.some(({ statsFd }) => statsFd !== undefined)
    if (isHeld || (this.#countable.stats && pending.some(({ stats }) => stats))) return 'stats'
    return this.#countable.threads ? 'tracepoint' : undefined
  }

  #wholeStats(process: KvmProcess, link: KvmLink | undefined, last: Known | undefined): number | undefined {
    if (last?.statsFd !== undefined) return last.statsFd
    if (!link || !this.#countable.stats) return undefined
    try {
      return this.#take(process, link).fd
    } catch (error) {
      log.sources('VM statistics of process %d: %s', process.tgid, error)
      return undefined
    }
  }

  #folder({ tgid }: KvmProcess, fds: readonly number[], vcpus: readonly Held[]): VmFolder | undefined {
    if (!this.#debugfs || !this.#countable.debugfs) return undefined
    return findVmFolder(this.#debugfs, { threads: this.#view.threads(tgid), fds, vcpus })
  }

  /** A vCPU with a copy of its statistics: the one of the last look, or a fresh one; or without, and why. */
  #hold(process: KvmProcess, vcpu: { link: VcpuLinks; thread: VcpuThread; before: Known | undefined }): Held {
    const { link, thread, before } = vcpu
    const { id, stats } = link
    const found = { id, ...thread }
    const old = before?.vcpus.find(other => isSameVcpu(other, found))
    // A statistic that appears later would have to take over from a tracepoint in the middle of a count.
    if (old && (old.statsFd === undefined ? this.#countable.threads : old.source === stats?.fd)) return old
    const taken = this.#takeStats(process, stats)
    return 'statsFd' in taken ? { ...found, ...taken } : { ...found, problem: taken }
  }

  #takeStats(process: KvmProcess, stats: KvmLink | undefined): { source: number; statsFd: number } | Problem {
    if (!this.#countable.stats) return notAsked
    if (!stats) return noStats
    try {
      return { source: stats.fd, statsFd: this.#take(process, stats).fd }
    } catch (error) {
      return problemOf(error)
    }
  }

  /**
   * Copies a descriptor and makes sure that the copy is what was looked at: the process may have closed it, or
   * ended, and its numbers may be in use again by something whose read would block.
   */
  #take({ tgid, startTime }: KvmProcess, link: KvmLink): { fd: number; table: StatsTable } {
    const fd = this.#descriptors.take(tgid, link.fd)
    try {
      if (this.#descriptors.ownLink(fd) !== link.target || startTimeOf(this.#view, tgid) !== startTime)
        throw new ErrnoError('ESTALE', `descriptor ${link.fd} of process ${tgid} was closed meanwhile`)
      const table = readStatsTable((into, position) => this.#descriptors.pread(fd, into, position))
      return { fd, table }
    } catch (error) {
      this.#descriptors.close(fd)
      throw error
    }
  }
}
