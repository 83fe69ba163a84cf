/**
 * VMs that can be counted by the statistics descriptors that their VMMs hold open, or by the threads of their vCPUs:
 * takes a copy of each descriptor, once, and describes the VM. Whoever gets a description owns the copies in it.
 *
 * A VM is the same as at the last look while at least one of its vCPUs has the same thread and descriptor, or none of its
 * threads could be told then. A process that ends a VM and makes the next one with the same threads and the same
 * descriptor numbers between two looks is not told from one that went on.
 */
import { ErrnoError } from '../../abi/errno.js'
import { log } from '../../log.js'
import { type DebugfsView, findVmFolder } from '../debugfs/vm-folder.js'
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
  readonly whole: readonly WholeDescription[]
}

const isSameVcpu = (a: VcpuDescription, b: VcpuDescription): boolean =>
  a.id === b.id && a.tid === b.tid && a.startTime === b.startTime

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
    const untold = links.vcpus.filter(({ id }) => !threads.has(id))
    const pending = untold.filter(({ id }) => !known.told.has(id))
    const name = qemuGuestName(this.#view.commandLine(process.tgid))
    const identity = { tgid: process.tgid, ...(name === undefined ? {} : { name }) }
    const problems = problemsOf(this.#countable, { vcpus, pending, isWhole: known.whole.length > 0 })
    const uncounted = problems.map(problem => ({ ...identity, ...problem }))
    const source = this.#sourceOf(vcpus, pending)
    if (source === undefined && known.whole.length === 0) return { uncounted }
    this.#seen.set(slot, known)
    const { key, whole } = known
    const statsProblem = vcpus.find(({ problem }) => problem && problem !== notAsked)?.problem
    const vm: VmDescription = {
      ...identity,
      key,
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

  /** The VM that a slot holds: what it was at the last look, while a vCPU of it is still counted, or a new one. */
  #next(process: KvmProcess, vm: { slot: string; vcpus: readonly Held[]; links: WholeLinks }): Known {
    const { slot, vcpus, links } = vm
    const before = this.#known.get(slot)
    const isSame =
      before?.vcpus.length === 0 || before?.vcpus.some(old => vcpus.some(vcpu => isSameVcpu(vcpu, old)))
    const last = isSame ? before : undefined
    if (!last) this.#keys += 1
    return {
      key: last?.key ?? `stats:${slot}:${this.#keys}`,
      vcpus,
      told: new Set([...(last?.told ?? []), ...vcpus.map(({ id }) => id)]),
      whole: this.#wholeOf(process, { links, vcpus, old: last?.whole ?? [] }),
    }
  }

  /** What counts the vCPUs, those included that are to be told yet; undefined: nothing does. */
  #sourceOf(vcpus: readonly Held[], pending: readonly VcpuLinks[]): 'stats' | 'tracepoint' | undefined {
    const isHeld = vcpus.some(({ statsFd }) => statsFd !== undefined)
    if (isHeld || (this.#countable.stats && pending.some(({ stats }) => stats))) return 'stats'
    return this.#countable.threads ? 'tracepoint' : undefined
  }

  /** Where the VM as a whole is counted: what was found once stays. */
  #wholeOf(
    process: KvmProcess,
    vm: { links: WholeLinks; vcpus: readonly Held[]; old: readonly WholeDescription[] },
  ): WholeDescription[] {
    const find = (source: WholeDescription['source'], look: () => WholeDescription | undefined) =>
      vm.old.find(old => old.source === source) ?? look() ?? []
    return [
      find('stats', () => this.#wholeStats(process, vm.links.stats)),
      find('debugfs', () => this.#folder(process, vm.links.fds, vm.vcpus)),
    ].flat()
  }

  #wholeStats(process: KvmProcess, link: KvmLink | undefined): WholeDescription | undefined {
    if (!link || !this.#countable.stats) return undefined
    try {
      return { source: 'stats', statsFd: this.#take(process, link).fd }
    } catch (error) {
      log.sources('VM statistics of process %d: %s', process.tgid, error)
      return undefined
    }
  }

  #folder(
    { tgid }: KvmProcess,
    fds: readonly number[],
    vcpus: readonly Held[],
  ): WholeDescription | undefined {
    if (!this.#debugfs || !this.#countable.debugfs) return undefined
    const folder = findVmFolder(this.#debugfs, { threads: this.#view.threads(tgid), fds, vcpus })
    return folder && { source: 'debugfs', ...folder }
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
