/**
 * Finds out which thread of a VMM runs which vCPU.
 *
 * A thread that sleeps in ioctl(FD, KVM_RUN) names its vCPU's descriptor: that is certain. Next best is what debugfs
 * shows on x86, the thread that entered a vCPU last; then a VMM's name for the thread. A thread that is `running` tells
 * nothing just then, so it is looked at again; where a single vCPU is left and a single such thread has run a guest
 * at all, it is that.
 * A vCPU is known here by the first of its descriptors in the VMM.
 */
import { KVM_RUN } from '../../abi/kvm.js'
import type { VcpuLinks } from './kvm-links.js'
import { parseStat, parseSyscall, type TaskSyscall, vcpuOfComm } from './proc-text.js'
import type { ProcView, TaskFile } from './proc-view.js'
import { startTimeOf } from './process-scan.js'

/** A thread that runs a vCPU. */
export interface VcpuThread {
  readonly tid: number
  readonly startTime: bigint
}

/** The process that is looked at. */
export interface LookedAt {
  readonly view: ProcView
  readonly tgid: number
  /** The threads that entered vCPUs last, by the vCPU's first descriptor, where debugfs shows them. */
  readonly runners?: () => ReadonlyMap<number, number>
  /** Waits so many milliseconds. */
  readonly sleep: (ms: number) => Promise<void>
}

/** How a thread is known to run a vCPU, the least reliable first. */
const evidence = { left: 0, named: 1, entered: 2, seen: 3 } as const

interface Claim extends VcpuThread {
  readonly evidence: keyof typeof evidence
}

/** A thread that is no vCPU's so far, and was on a CPU. */
interface Busy extends VcpuThread {
  readonly hasRunGuest: boolean
}

const TRIES = 5
const PAUSE_MS = 2

/** KVM's recovery thread shows the system call of the vCPU that made it, forever, and is no vCPU's. */
const isKernelThread = (comm: string, wchan: string | undefined): boolean =>
  comm.startsWith('kvm-nx-lpage') || wchan?.trim() === 'vhost_task_fn'

/**
 * The vCPUs that a name's number may mean. QEMU's is its cpu-index, KVM's on x86 the APIC id, which leaves gaps
 * where cores are no power of two: they agree only where KVM's have none. With several VMs it does not tell which.
 */
function namedVcpus(vms: readonly (readonly VcpuLinks[])[]): Map<number, number> {
  const [only, ...others] = vms
  if (!only || others.length > 0 || only.some(({ id }, i) => id !== i)) return new Map()
  return new Map(only.flatMap(({ id, fds }) => (fds[0] === undefined ? [] : [[id, fds[0]]])))
}

class ThreadSearch {
  readonly claims = new Map<number, Claim>()
  busy: Busy[] = []
  readonly #view: ProcView
  readonly #tgid: number
  /** The vCPU's first descriptor, by each of them. */
  readonly #vcpuOfFd = new Map<number, number>()
  readonly #named: ReadonlyMap<number, number>

  constructor({ view, tgid }: LookedAt, vms: readonly (readonly VcpuLinks[])[]) {
    this.#view = view
    this.#tgid = tgid
    this.#named = namedVcpus(vms)
    for (const { fds } of vms.flat()) {
      const first = fds[0]
      if (first !== undefined) for (const fd of fds) this.#vcpuOfFd.set(fd, first)
    }
  }

  /** The vCPUs that no thread has been found for. */
  get missing(): number[] {
    return [...new Set(this.#vcpuOfFd.values())].filter(vcpu => !this.claims.has(vcpu))
  }

  /** Threads that were on a CPU whenever they were looked at, have run a guest, and are no vCPU's so far. */
  get candidates(): Busy[] {
    const claimed = new Set([...this.claims.values()].map(({ tid }) => tid))
    return this.busy.filter(({ tid, hasRunGuest }) => hasRunGuest && !claimed.has(tid))
  }

  /** Takes over what an earlier search found, as far as those threads live. */
  recall(known: ReadonlyMap<number, VcpuThread>): void {
    const vcpus = new Set(this.#vcpuOfFd.values())
    for (const [vcpu, thread] of known) {
      const isAlive = startTimeOf(this.#view, this.#tgid, thread.tid) === thread.startTime
      if (isAlive && vcpus.has(vcpu)) this.claims.set(vcpu, { ...thread, evidence: 'seen' })
    }
  }

  look(tids: readonly number[]): void {
    this.busy = []
    for (const tid of tids) this.#lookAt(tid)
  }

  claim(vcpu: number, claim: Claim): void {
    const held = this.claims.get(vcpu)
    // A thread inherits the name of its maker until it takes its own: the older one is the vCPU's.
    const gain = held ? evidence[claim.evidence] - evidence[held.evidence] : 1
    if (gain > 0 || (gain === 0 && held && claim.startTime < held.startTime)) this.claims.set(vcpu, claim)
  }

  /** Takes what debugfs shows; a thread of another process or one that has ended is none of this VM's. */
  enter(runners: ReadonlyMap<number, number>): void {
    for (const [vcpu, tid] of runners) {
      const startTime = startTimeOf(this.#view, this.#tgid, tid)
      if (startTime !== undefined) this.claim(vcpu, { tid, startTime, evidence: 'entered' })
    }
  }

  #lookAt(tid: number): void {
    const read = (file: TaskFile) => this.#view.read(this.#tgid, tid, file)
    const comm = read('comm')
    const stat = parseStat(read('stat'))
    if (comm === undefined || !stat || isKernelThread(comm, read('wchan'))) return
    const syscall = parseSyscall(read('syscall'))
    const { startTime } = stat
    const seen = this.#vcpuOfFd.get(this.#runFd(syscall))
    const vcpu = seen ?? this.#named.get(vcpuOfComm(comm) ?? -1)
    if (vcpu !== undefined)
      this.claim(vcpu, { tid, startTime, evidence: seen === undefined ? 'named' : 'seen' })
    else if (syscall === 'running') this.busy.push({ tid, startTime, hasRunGuest: stat.guestTime > 0n })
  }

  /** The descriptor that a thread runs a vCPU through, or -1. */
  #runFd(syscall: TaskSyscall | undefined): number {
    if (syscall === undefined || syscall === 'running') return -1
    const { number, args } = syscall
    return number === this.#view.ioctlNumber && args[1] === BigInt(KVM_RUN) ? Number(args[0]) : -1
  }
}

/**
 * Finds the threads of a process's vCPUs, each by the first descriptor of its vCPU.
 *
 * @param known what the last search found
 */
export async function findVcpuThreads(
  process: LookedAt,
  vms: readonly (readonly VcpuLinks[])[],
  known: ReadonlyMap<number, VcpuThread>,
): Promise<ReadonlyMap<number, VcpuThread>> {
  const search = new ThreadSearch(process, vms)
  search.recall(known)
  if (search.missing.length > 0) {
    search.look(process.view.threads(process.tgid))
    search.enter(process.runners?.() ?? new Map())
  }
  for (let tries = 1; tries < TRIES && search.missing.length > 0 && search.busy.length > 0; tries++) {
    await process.sleep(PAUSE_MS)
    search.look(search.busy.map(({ tid }) => tid))
  }
  const [last, ...others] = search.missing
  const [only, ...rivals] = search.candidates
  if (last !== undefined && only && others.length === 0 && rivals.length === 0)
    search.claim(last, { tid: only.tid, startTime: only.startTime, evidence: 'left' })
  return new Map([...search.claims].map(([vcpu, { tid, startTime }]) => [vcpu, { tid, startTime }]))
}
