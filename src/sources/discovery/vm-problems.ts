/** Why VMs and vCPUs that were found are not counted, and what would mend it. */
import { ErrnoError } from '../../abi/errno.js'
import type { Problem } from '../uncounted.js'
import type { VcpuLinks } from './kvm-links.js'

/** What of a VM can be counted. */
export interface Countable {
  /** Its statistics descriptors. */
  readonly stats: boolean
  /** Its vCPUs' threads, where they have no statistics: tracepoints can. */
  readonly threads: boolean
  /** The VM as a whole by debugfs, where it can be read. */
  readonly debugfs: boolean
}

export const noStats: Problem = {
  reason: 'its VMM holds no KVM statistics descriptors open',
  remedy: 'use QEMU 8.1 or newer, or name the QMP socket of an older QEMU with --qmp',
}
/** Nobody asks for statistics: tracepoints alone are to count. */
export const notAsked: Problem = {
  reason: 'its KVM statistics are not to be used',
  remedy: 'mount with --source auto',
}
const noFolder: Problem = {
  reason: 'it has no folder in debugfs whose counts can be read',
  remedy: 'run pmufs as root, on a kernel that is not locked down, or mount with --source auto',
}
const noThread: Problem = {
  reason: 'which thread runs it cannot be told yet',
  remedy: 'let the guest run, or have the VMM name its threads (QEMU: -name NAME,debug-threads=on)',
}

export const problemOf = (error: unknown): Problem => {
  const why = error instanceof Error ? error.message : String(error)
  const reason = `its KVM statistics cannot be read: ${why}`
  const isRefused = error instanceof ErrnoError && error.code === 'EPERM'
  const remedy = isRefused
    ? 'run pmufs as root, with CAP_SYS_PTRACE, or as the user of the VMM'
    : 'wait for the next look; if it stays, report it with the output of `DEBUG=pmufs:sources`'
  return { reason, remedy }
}

/** What was found of one VM. */
interface FoundVcpus {
  readonly vcpus: readonly { readonly id: number; readonly problem?: Problem }[]
  /** Those whose threads cannot be told yet. */
  readonly pending: readonly VcpuLinks[]
  /** Whether the VM as a whole is counted. */
  readonly isWhole: boolean
}

/** Why vCPUs of a VM are not counted, each reason with those concerned. */
export function problemsOf(countable: Countable, found: FoundVcpus): (Problem & { vcpus: number[] })[] {
  const { stats, threads } = countable
  const { vcpus, pending, isWhole } = found
  // Who asks for debugfs alone asks for no vCPU's counts.
  const isWholeAsked = countable.debugfs && !stats && !threads
  if (isWholeAsked) return isWhole ? [] : [{ ...noFolder, vcpus: [...vcpus, ...pending].map(({ id }) => id) }]
  const all = [
    ...vcpus.flatMap(({ id, problem }) => (problem && !threads ? [{ id, problem }] : [])),
    ...pending.map(link => ({ id: link.id, problem: (link.stats && stats) || threads ? noThread : noStats })),
  ]
  const problems = new Map<string, Problem & { vcpus: number[] }>()
  for (const { id, problem } of all.sort((a, b) => a.id - b.id)) {
    const same = problems.get(problem.reason) ?? { ...problem, vcpus: [] }
    same.vcpus.push(id)
    problems.set(problem.reason, same)
  }
  return [...problems.values()]
}
