/**
 * VMs that can be counted by the statistics descriptors that their VMMs hold open, or by the threads of their vCPUs:
 * takes a copy of each descriptor, once, and describes the VM. Whoever gets a description owns the copies in it.
 *
 * A VM is the same as at the last look while at least one of its vCPUs has the same thread and descriptor. A
 * process that ends a VM and makes the next one with the same threads and the same descriptor numbers between two
 * looks is not told from one that went on.
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

/** What is known of one VM: its description, where a vCPU can be counted, and what cannot be. */
export interface DescribedVm {
  readonly vm?: VmDescription
  readonly uncounted: readonly Uncounted[]
}

/** What of a VM can be counted. */
export interface Countable {
  /** Its statistics descriptors. */
  readonly stats: boolean
  /** Its vCPUs' threads, where they have no statistics: tracepoints can. */
  readonly threads: boolean
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
  readonly whole: WholeDescription | undefined
}

const noStats: Problem = {
  reason: 'its VMM holds no KVM statistics descriptors open',
  remedy: 'use QEMU 8.1 or newer, or name the QMP socket of an older QEMU with --qmp',
}
/** Nobody asks for statistics: tracepoints alone are to count. */
const notAsked: Problem = {
  reason: 'its KVM statistics are not to be used',
  remedy: 'mount with --source auto',
}
const noThread: Problem = {
  reason: 'which thread runs it cannot be told yet',
  remedy: 'let the guest run, or have the VMM name its threads (QEMU: -name NAME,debug-threads=on)',
}

const problemOf = (error: unknown): Problem => {
  const why = error instanceof Error ? error.message : String(error)
  const reason = `its KVM statistics cannot be read: ${why}`
  const isRefused = error instanceof ErrnoError && error.code === 'EPERM'
  const remedy = isRefused
    ? 'run pmufs as root, with CAP_SYS_PTRACE, or as the user of the VMM'
    : 'wait for the next look; if it stays, report it with the output of `DEBUG=pmufs:sources`'
  return { reason, remedy }
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
    const problems = new Map<string, Problem & { readonly vcpus: number[] }>()
    const vcpus: Held[] = []
    for (const link of links.vcpus) {
      const held = this.#hold(process, { link, thread: threads.get(link.id), before })
      if ('tid' in held) vcpus.push(held)
      else
        problems.set(held.reason, { ...held, vcpus: [...(problems.get(held.reason)?.vcpus ?? []), link.id] })
    }
    const name = qemuGuestName(this.#view.commandLine(process.tgid))
    const identity = { tgid: process.tgid, ...(name === undefined ? {} : { name }) }
    const uncounted = [...problems.values()].map(problem => ({ ...identity, ...problem }))
    if (vcpus.length === 0) return { uncounted }
    const { key, whole } = this.#remember(process, { slot, vcpus, links: links.whole })
    const statsProblem = vcpus.find(({ problem }) => problem && problem !== notAsked)?.problem
    const vm: VmDescription = {
      ...identity,
      key,
      startTime: process.startTime,
      isReal: true,
      source: vcpus.some(({ statsFd }) => statsFd !== undefined) ? 'stats' : 'tracepoint',
      ...(statsProblem && { statsProblem: `${statsProblem.reason}; ${statsProblem.remedy}` }),
      vcpus: vcpus.map(({ id, tid, startTime, statsFd }) => ({
        id,
        tid,
        startTime,
        ...(statsFd === undefined ? {} : { statsFd }),
      })),
      events: [],
      ...(whole === undefined ? {} : { whole }),
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
  #remember(process: KvmProcess, vm: { slot: string; vcpus: readonly Held[]; links: WholeLinks }): Known {
    const { slot, vcpus, links } = vm
    const last = this.#known.get(slot)
    const isSame = last?.vcpus.some(old => vcpus.some(vcpu => isSameVcpu(vcpu, old)))
    if (!isSame) this.#keys += 1
    const key = last && isSame ? last.key : `stats:${slot}:${this.#keys}`
    const whole = this.#wholeOf(process, { links, vcpus, old: isSame ? last?.whole : undefined })
    const known = { key, vcpus, whole }
    this.#seen.set(slot, known)
    return known
  }

  /** Where the VM as a whole is counted: what was found once stays, but for the better. */
  #wholeOf(
    process: KvmProcess,
    vm: { links: WholeLinks; vcpus: readonly Held[]; old: WholeDescription | undefined },
  ): WholeDescription | undefined {
    const { stats, fds } = vm.links
    if (vm.old?.source === 'stats' || (vm.old && !stats)) return vm.old
    try {
      if (stats) return { source: 'stats', statsFd: this.#take(process, stats).fd }
    } catch (error) {
      log.sources('VM statistics of process %d: %s', process.tgid, error)
    }
    if (vm.old || !this.#debugfs) return vm.old
    const threads = this.#view.threads(process.tgid)
    const folder = findVmFolder(this.#debugfs, { threads, fds, vcpus: vm.vcpus })
    return folder && { source: 'debugfs', ...folder }
  }

  /** A vCPU with a copy of its statistics: the one of the last look, or a fresh one; or without, as it was found. */
  #hold(
    process: KvmProcess,
    vcpu: { link: VcpuLinks; thread: VcpuThread | undefined; before: Known | undefined },
  ): Held | Problem {
    const { link, thread, before } = vcpu
    const { id, stats } = link
    if (!thread) return stats || this.#countable.threads ? noThread : noStats
    const found = { id, ...thread }
    const old = before?.vcpus.find(other => isSameVcpu(other, found))
    // A statistic that appears later would have to take over from a tracepoint in the middle of a count.
    if (old && (old.statsFd === undefined || old.source === stats?.fd)) return old
    const taken = this.#takeStats(process, stats)
    if ('statsFd' in taken) return { ...found, ...taken }
    return this.#countable.threads ? { ...found, problem: taken } : taken
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
