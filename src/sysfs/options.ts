/** What the tree `sys/` is made of, all injected. */
import type { Owner } from '../kernfs/inode.js'
import type { PmuRegistry } from '../perf/registry.js'

/** A PMU of the running kernel. */
export interface HostPmu {
  readonly name: string
  /** Its folder, as an absolute path: /sys/devices/msr. */
  readonly target: string
}

/** Where the tree takes what it shows from. */
export interface SysfsOptions {
  readonly owner: Owner
  readonly registry: Pick<PmuRegistry, 'byName' | 'list' | 'onChange'>
  /** The running kernel's PMUs, asked at each use. */
  readonly hostPmus: () => readonly HostPmu[]
}
