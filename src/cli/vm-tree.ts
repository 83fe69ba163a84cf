/** Reads `vms/` of a mount, as any script could. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A vCPU as `vms/<vm>/vcpu<N>` shows it. */
export interface VcpuRow {
  readonly id: number
  readonly tid: number
}

/** A guest as `vms/<vm>` shows it. */
export interface VmRow {
  readonly name: string
  readonly pid: number
  /** `kvm`, or `simulated`. */
  readonly kind: string
  /** What counts it: `stats` or `qmp`. */
  readonly source: string
  readonly vcpus: readonly VcpuRow[]
}

const text = (...path: string[]): string => readFileSync(join(...path), 'utf8').trim()

function readVm(directory: string, name: string): VmRow {
  const path = join(directory, name)
  const ids = readdirSync(path)
    .filter(entry => entry.startsWith('vcpu'))
    .map(entry => Number(entry.slice('vcpu'.length)))
  return {
    name,
    pid: Number(text(path, 'pid')),
    kind: text(path, 'kind'),
    source: text(path, 'source'),
    vcpus: ids.sort((a, b) => a - b).map(id => ({ id, tid: Number(text(path, `vcpu${id}`, 'tid')) })),
  }
}

const isGone = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENODEV')

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
