/**
 * Finds the processes that run VMs, and does so often: most processes never do.
 *
 * Of a process that had nothing of KVM's only descriptors that are new since the last look are followed. A thorough
 * scan follows them all: a descriptor's number may have been used again, and a process's too.
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

/** The start time of a thread, or undefined where there is no such thread or it is a zombie. */
export function startTimeOf(view: ProcView, tgid: number, tid = tgid): bigint | undefined {
  const stat = parseStat(view.read(tgid, tid, 'stat'))
  return stat && !/[ZXx]/.test(stat.state) ? stat.startTime : undefined
}

export class ProcessScan {
  readonly #view: ProcView
  /** The descriptors of processes that had nothing of KVM's at the last look. */
  #others = new Map<number, ReadonlySet<number>>()

  constructor(view: ProcView) {
    this.#view = view
  }

  /** Follows every descriptor of a process at the next look. */
  forget(tgid: number): void {
    this.#others.delete(tgid)
  }

  /** Looks at every process that `accepts` lets through. */
  scan(isThorough: boolean, accepts: (tgid: number) => boolean): KvmProcess[] {
    const found: KvmProcess[] = []
    const others = new Map<number, ReadonlySet<number>>()
    for (const tgid of this.#view.processes().filter(accepts)) {
      const fds = this.#view.descriptors(tgid)
      const seen = isThorough ? undefined : this.#others.get(tgid)
      if (fds.some(fd => !seen?.has(fd) && this.#follow(tgid, fd) !== undefined)) {
        const startTime = startTimeOf(this.#view, tgid)
        const links = fds.flatMap(fd => this.#follow(tgid, fd) ?? [])
        if (startTime !== undefined) found.push({ tgid, startTime, links })
      } else if (fds.length > 0) others.set(tgid, new Set(fds))
    }
    this.#others = others
    return found
  }

  #follow(tgid: number, fd: number): KvmLink | undefined {
    const target = this.#view.link(tgid, fd)
    return target === undefined ? undefined : parseKvmLink(fd, target)
  }
}
