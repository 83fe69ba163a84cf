/**
 * Guests as /proc shows them: finds the processes that run VMs, the threads of their vCPUs, and takes the statistics
 * descriptors of those that are to be counted by them.
 */

import { type DebugfsView, vcpuRunners } from '../debugfs/vm-folder.js'
import type { VmDescription } from '../messages.js'
import { sleep, type Timers } from '../timers.js'
import type { Uncounted } from '../uncounted.js'
import { type KvmLink, type VcpuLinks, type VmLinks, vmLinks } from './kvm-links.js'
import type { ProcView } from './proc-view.js'
import { type KvmProcess, ProcessScan } from './process-scan.js'
import { type StatsMachine, StatsVms } from './stats-vms.js'
import { findVcpuThreads, type VcpuThread } from './vcpu-threads.js'
import type { Countable } from './vm-problems.js'

/** What a look at the machine has found. */
export interface FoundGuests {
  readonly vms: readonly VmDescription[]
  readonly uncounted: readonly Uncounted[]
  /** Whether any process runs a VM, countable or not, its vCPUs made or not. */
  readonly isAny: boolean
}

/** The machine, as discovery needs it. */
export interface StatsGuestsOptions extends StatsMachine {
  readonly timers: Timers
  /** Statistics and debugfs where not given. */
  readonly countable?: Countable
}

/** What is remembered of a process between two looks. */
interface Remembered {
  /** Threads by the vCPU's descriptor in the VMM. */
  threads: ReadonlyMap<number, VcpuThread>
  /** vCPU numbers of statistics whose links do not show them, by descriptor. */
  readonly statsIds: Map<number, number>
}

const ambiguous = {
  reason: 'its process runs several VMs, and which statistics are whose cannot be told',
  remedy: 'run one VM in a process, or have the VMM make each VM with all its vCPUs before the next',
}

/** Not one that only has a copy of statistics, as this program has. */
const runsVm = ({ links }: KvmProcess): boolean => links.some(({ kind }) => kind === 'vm' || kind === 'vcpu')

export class StatsGuests {
  readonly #view: ProcView
  readonly #debugfs: DebugfsView | undefined
  readonly #timers: Timers
  readonly #scan: ProcessScan
  readonly #vms: StatsVms
  #remembered = new Map<string, Remembered>()

  constructor({ view, descriptors, timers, debugfs, countable }: StatsGuestsOptions) {
    this.#view = view
    this.#debugfs = debugfs
    this.#timers = timers
    this.#scan = new ProcessScan(view)
    this.#vms = new StatsVms(
      { view, descriptors, debugfs },
      countable ?? { stats: true, threads: false, debugfs: true },
    )
  }

  /** The process of this thread has changed: its descriptors' numbers may mean something else at the next look. */
  suspect(tid: number): void {
    const tgid = this.#view.processOf(tid)
    if (tgid !== undefined) this.#scan.forget(tgid)
  }

  /**
   * Looks at the machine. Whoever gets the VMs owns the descriptors in them; a VM that is found again has those it
   * had.
   *
   * @param isThorough follow descriptors of processes that have been looked at, too
   * @param accepts which processes are to be looked at
   */
  async look(isThorough: boolean, accepts: (tgid: number) => boolean): Promise<FoundGuests> {
    const vms: VmDescription[] = []
    const uncounted: Uncounted[] = []
    const remembered = new Map<string, Remembered>()
    const processes = this.#scan.scan(isThorough, accepts)
    for (const process of processes) {
      const key = `${process.tgid}.${process.startTime}`
      const memory = this.#remembered.get(key) ?? { threads: new Map(), statsIds: new Map() }
      remembered.set(key, memory)
      const found = await this.#lookAt(process, memory)
      vms.push(...found.vms)
      uncounted.push(...found.uncounted)
    }
    this.#remembered = remembered
    this.#vms.sweep()
    return { vms, uncounted, isAny: processes.some(runsVm) }
  }

  async #lookAt(process: KvmProcess, memory: Remembered): Promise<Omit<FoundGuests, 'isAny'>> {
    const found = vmLinks(process.links.map(link => this.#numbered(process, link, memory)))
    const { vms, wholes, isAmbiguous } = found
    if (isAmbiguous) return { vms: [], uncounted: [{ tgid: process.tgid, ...ambiguous }] }
    const threads = await findVcpuThreads(
      {
        view: this.#view,
        tgid: process.tgid,
        runners: () => this.#runners(process.tgid, found),
        sleep: ms => sleep(this.#timers, ms),
      },
      vms,
      memory.threads,
    )
    memory.threads = threads
    const described = vms.map((vcpus, i) =>
      this.#vms.describe(process, { vcpus, whole: wholes[i] ?? { fds: [] } }, byId(vcpus, threads)),
    )
    return {
      vms: described.flatMap(({ vm }) => vm ?? []),
      uncounted: described.flatMap(vm => vm.uncounted),
    }
  }

  #runners(tgid: number, { vms, wholes }: VmLinks): Map<number, number> {
    const debugfs = this.#debugfs
    if (!debugfs) return new Map()
    const threads = this.#view.threads(tgid)
    return new Map(
      vms.flatMap((vcpus, i) => {
        const runners = vcpuRunners(debugfs, {
          threads,
          fds: wholes[i]?.fds ?? [],
          ids: vcpus.map(({ id }) => id),
        })
        return vcpus.flatMap(({ id, fds: [fd] }) => {
          const tid = runners.get(id)
          return fd === undefined || tid === undefined ? [] : [[fd, tid] as const]
        })
      }),
    )
  }

  #numbered(process: KvmProcess, link: KvmLink, { statsIds }: Remembered): KvmLink {
    if (link.kind !== 'stats' || link.id !== undefined) return link
    const id = statsIds.get(link.fd) ?? this.#vms.vcpuOf(process, link)
    if (id !== undefined) statsIds.set(link.fd, id)
    return { ...link, id }
  }
}

const byId = (vcpus: readonly VcpuLinks[], threads: ReadonlyMap<number, VcpuThread>) =>
  new Map(
    vcpus.flatMap(({ id, fds }) => {
      const thread = threads.get(fds[0] ?? -1)
      return thread ? [[id, thread] as const] : []
    }),
  )
