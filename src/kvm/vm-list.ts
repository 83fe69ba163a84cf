/**
 * The VMs of this machine that can be counted. Counterpart: vm_list, and kvm_for_each_vcpu() over it.
 *
 * A listener hears of a change when the list shows it already, and before anything else runs: whoever removes a VM
 * closes its source after remove() has returned, so that last counts can still be read.
 */
import { ErrnoError } from '../abi/errno.js'
import type { Task } from '../perf/task.js'
import type { Vcpu, Vm } from './vm.js'
import { vmName } from './vm-name.js'

/** What happened to a VM; `gone` are the vCPUs that it lost. */
export interface VmChange {
  readonly kind: 'added' | 'updated' | 'removed'
  readonly vm: Vm
  readonly gone: readonly Vcpu[]
}

interface Entry {
  readonly vm: Vm
  readonly name: string
  /** The vCPUs at the last look, to tell which went. */
  vcpus: readonly Vcpu[]
}

export class VmList {
  readonly #byName = new Map<string, Entry>()
  readonly #byVm = new Map<Vm, Entry>()
  readonly #listeners = new Set<(change: VmChange) => void>()

  get size(): number {
    return this.#byVm.size
  }

  /** Every VM, in the order in which they were added. */
  [Symbol.iterator](): IterableIterator<Vm> {
    return this.#byVm.keys()
  }

  /**
   * Takes a VM in and returns the name of its folder: its own where that is fit and free, else `pid-N`.
   *
   * @throws {ErrnoError} EEXIST when it is in the list already
   */
  add(vm: Vm): string {
    if (this.#byVm.has(vm)) throw new ErrnoError('EEXIST', `VM "${vm.name}" is listed already`)
    const name = vmName(vm.name, vm.tgid, taken => this.#byName.has(taken))
    const entry = { vm, name, vcpus: [...vm.vcpus] }
    this.#byName.set(name, entry)
    this.#byVm.set(vm, entry)
    this.#tell({ kind: 'added', vm, gone: [] })
    return name
  }

  /** Looks again at a VM whose vCPUs or events have changed; one that is not in the list is left alone. */
  update(vm: Vm): void {
    const entry = this.#byVm.get(vm)
    if (!entry) return
    const gone = entry.vcpus.filter(vcpu => !vm.vcpus.includes(vcpu))
    entry.vcpus = [...vm.vcpus]
    this.#tell({ kind: 'updated', vm, gone })
  }

  /** Takes a VM out; one that is not in the list is left alone. */
  remove(vm: Vm): void {
    const entry = this.#byVm.get(vm)
    if (!entry) return
    this.#byVm.delete(vm)
    this.#byName.delete(entry.name)
    this.#tell({ kind: 'removed', vm, gone: entry.vcpus })
  }

  /** The name of a VM's folder under vms/, or undefined where the VM is not in the list. */
  nameOf(vm: Vm): string | undefined {
    return this.#byVm.get(vm)?.name
  }

  byName(name: string): Vm | undefined {
    return this.#byName.get(name)?.vm
  }

  /** The vCPU that this very thread runs: its id alone may have been another's before. */
  vcpuOf(task: Pick<Task, 'tid' | 'startTime'>): Vcpu | undefined {
    for (const vcpu of this.#vcpus())
      if (vcpu.tid === task.tid && vcpu.startTime === task.startTime) return vcpu
    return undefined
  }

  /** The vCPU last known to run on a thread of this id. */
  vcpuOnThread(tid: number): Vcpu | undefined {
    for (const vcpu of this.#vcpus()) if (vcpu.tid === tid) return vcpu
    return undefined
  }

  /** The VMs of one process; most have one. */
  ofProcess(tgid: number): Vm[] {
    return [...this].filter(vm => vm.tgid === tgid)
  }

  /** Calls `listener` at each change, until the returned function is called. */
  onChange(listener: (change: VmChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  *#vcpus(): Generator<Vcpu> {
    for (const vm of this) yield* vm.vcpus
  }

  #tell(change: VmChange): void {
    for (const listener of this.#listeners) listener(change)
  }
}
