/**
 * Finds the processes that run VMs, and does so often: most processes never do.
 *
 * A process is known by id and start time. Of one that had nothing of KVM's only descriptors that are new since the
 * last look are followed; a thorough scan follows them all, for a number may have been used again.
 */
import { type KvmLink, parseKvmLink } from './kvm-links.js'
import { parseStat } from './proc-text.js'
import type { ProcView } from './proc-view.js'

/** A process that holds a VM. */
export interface KvmProcess {
  readonly tgid: number
  readonly startTime: bigint
  readonly links: readonly KvmLink[]
}

/** A process that had nothing of KVM's at the last look. */
interface Other {
  readonly startTime: bigint
  readonly fds: ReadonlySet<number>
}

/** The start time of a thread, or undefined where there is no such thread or it is a zombie. */
export function startTimeOf(view: ProcView, tgid: number, tid = tgid): bigint | undefined {
  const stat = parseStat(view.read(tgid, tid, 'stat'))
  return stat && !/[ZXx]/.test(stat.state) ? stat.startTime : undefined
}

export class ProcessScan {
  readonly #view: ProcView
  #others = new Map<number, Other>()

  constructor(view: ProcView) {
    this.#view = view
  }

  /** Looks at every process that `accepts` lets through. */
  scan(isThorough: boolean, accepts: (tgid: number) => boolean): KvmProcess[] {
    const found: KvmProcess[] = []
    const others = new Map<number, Other>()
    for (const tgid of this.#view.processes().filter(accepts)) {
      const fds = this.#view.descriptors(tgid)
      if (fds.length === 0) continue
      const startTime = startTimeOf(this.#view, tgid)
      if (startTime === undefined) continue
      const before = this.#others.get(tgid)
      const seen = !isThorough && before?.startTime === startTime ? before.fds : undefined
      if (fds.some(fd => !seen?.has(fd) && this.#follow(tgid, fd) !== undefined))
        found.push({ tgid, startTime, links: fds.flatMap(fd => this.#follow(tgid, fd) ?? []) })
      else others.set(tgid, { startTime, fds: new Set(fds) })
    }
    this.#others = others
    return found
  }

  #follow(tgid: number, fd: number): KvmLink | undefined {
    const target = this.#view.link(tgid, fd)
    return target === undefined ? undefined : parseKvmLink(fd, target)
  }
}
