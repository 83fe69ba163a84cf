/**
 * Which event types belong to the mounted PMUs. PMUs come and go, so that a type that neither side is known to have
 * is looked up anew; one that was unregistered stays known, and the server answers for it as the kernel would.
 */
import type { Kernel, MountedTree } from './host.js'

/** PERF_TYPE_MAX: the kernel's fixed types lie below. */
const PERF_TYPE_MAX = 6

/** The types of the mounted PMUs, read when they are asked for. */
export class PmuTypes {
  readonly #tree: MountedTree
  readonly #kernels: ReadonlySet<number>
  readonly #ours = new Set<number>()

  constructor(tree: MountedTree, kernel: Kernel) {
    this.#tree = tree
    this.#kernels = new Set(kernel.readTypes())
  }

  /** Whether events of this type are the server's to open. */
  async isOurs(type: number): Promise<boolean> {
    if (type < PERF_TYPE_MAX || this.#kernels.has(type)) return false
    if (!this.#ours.has(type)) for (const each of await this.#tree.readTypes()) this.#ours.add(each)
    return this.#ours.has(type)
  }
}
