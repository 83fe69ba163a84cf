/** Reads `vms/` of a mount, as any script could. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A vCPU as `vms/<vm>/vcpu<N>` shows it. */
export interface VcpuRow {
  readonly id: number
  readonly tid: number
}

/** A line of `vms/<vm>/events`. */
export interface EventRow {
  readonly event: string
  readonly source: string
  /** The PMUs that have it. */
  readonly pmus: readonly string[]
}

/** A line of `vms/<vm>/sources`. */
export interface SourceRow {
  readonly source: string
  /** How many events it has. */
  readonly events: number
  /** Why it cannot count what it should. */
  readonly problem?: string
}

/** A line of `vms/<vm>/cost`. */
export interface CostRow {
  readonly source: string
  /** How many reads it was measured over. */
  readonly reads: number
  /** What one read adds to each count of a vCPU, at most. */
  readonly adds: Readonly<Record<string, number>>
}

/** A guest as `vms/<vm>` shows it. */
export interface VmRow {
  readonly name: string
  readonly pid: number
  /** `kvm`, or `simulated`. */
  readonly kind: string
  /** What counts it, the best first: `stats,tracepoint`. */
  readonly source: string
  /** What reads do to it, as far as that was measured. */
  readonly cost: readonly CostRow[]
  readonly vcpus: readonly VcpuRow[]
  /** vCPUs whose threads cannot be told yet. */
  readonly pending: readonly number[]
}

const text = (...path: string[]): string => readFileSync(join(...path), 'utf8').trim()

function readVm(directory: string, name: string): VmRow {
  const path = join(directory, name)
  const ids = readdirSync(path)
    .filter(entry => entry.startsWith('vcpu'))
    .map(entry => Number(entry.slice('vcpu'.length)))
  // Servers older than this program lack these files. They are read first: what has to be there tells of a guest's end.
  const cost = readCost(directory, name)
  const pending = linesOf(path, 'pending').flatMap(line => line.split(' ').map(Number))
  return {
    name,
    pid: Number(text(path, 'pid')),
    kind: text(path, 'kind'),
    source: text(path, 'source'),
    cost,
    pending,
    vcpus: ids.sort((a, b) => a - b).map(id => ({ id, tid: Number(text(path, `vcpu${id}`, 'tid')) })),
  }
}

const isGone = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENODEV')

/** The lines of a table of a guest; none of one that has ended. */
function linesOf(...path: string[]): string[] {
  try {
    return text(...path)
      .split('\n')
      .filter(line => line !== '')
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** The events of a guest, and what counts each. */
export const readEvents = (mount: string, vm: string): EventRow[] =>
  linesOf(mount, 'vms', vm, 'events').map(line => {
    const [event = '', source = '', pmus = ''] = line.split(' ')
    return { event, source, pmus: pmus.split(',') }
  })

/** What counts a guest, and what should and cannot. */
export const readSources = (mount: string, vm: string): SourceRow[] =>
  linesOf(mount, 'vms', vm, 'sources').map(line => {
    const [, source = '', events, problem = ''] = /^(\S+) (\d+) ?(.*)$/.exec(line) ?? []
    return { source, events: Number(events), ...(problem === '' ? {} : { problem }) }
  })

function readCost(directory: string, vm: string): CostRow[] {
  return linesOf(directory, vm, 'cost').map(line => {
    const [source = '', reads, ...adds] = line.split(' ')
    return {
      source,
      reads: Number(reads),
      adds: Object.fromEntries(
        adds.map(add => add.split('=')).map(([event, count]) => [event, Number(count)]),
      ),
    }
  })
}

/** The guests that a mount can count; one that ends while it is read is left out. */
export function readVms(mount: string): VmRow[] {
  const directory = join(mount, 'vms')
  return readdirSync(directory).flatMap(name => {
    try {
      return [readVm(directory, name)]
    } catch (error) {
      if (isGone(error)) return []
      throw error
    }
  })
}
