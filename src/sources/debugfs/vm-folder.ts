/**
 * Finds the folder of a VM in debugfs: `TID-FD`, the thread that made the VM and the descriptor that it got.
 * Counterpart: kvm_create_vm_debugfs() in virt/kvm/kvm_main.c.
 */
import type { EventDescription } from '../../kvm/vm.js'
import { describeEvent } from '../scale.js'
import { parseCount } from './debugfs-whole.js'

/** debugfs as discovery looks at it; what is not there or may not be read is empty or undefined. */
export interface DebugfsView {
  /** Whose files are counts: debugfs shows instants, peaks and the first bucket of a histogram alike. */
  readonly counts: ReadonlySet<string>
  /** What is in a folder below kvm/; '' is kvm/ itself. */
  names(folder: string): readonly string[]
  /** The text of a file below kvm/. */
  read(path: string): string | undefined
  /** What tells a folder from another that has its name later. */
  inodeOf(folder: string): number | undefined
  /** The path of a folder below kvm/ that any thread of this process can open. */
  pathOf(folder: string): string
}

/** What is known of the VM that a folder is wanted for. */
export interface VmTraits {
  /** The threads of its process: one of them made it. */
  readonly threads: readonly number[]
  /** The descriptors in that process that can be the VM's. */
  readonly fds: readonly number[]
  readonly vcpus: readonly { readonly id: number; readonly tid: number }[]
}

/** A VM's folder and what can be counted there. */
export interface VmFolder {
  readonly path: string
  readonly inode: number
  readonly events: readonly EventDescription[]
}

/** Only names tell here: the statistics of KVM that are nanoseconds end in `_ns`. */
function describe(name: string): EventDescription {
  const isTime = name.endsWith('_ns')
  return describeEvent({ name, unit: isTime ? 'seconds' : undefined, base: 10, exponent: isTime ? -9 : 0 })
}

const folderNames = (threads: readonly number[], fds: readonly number[]): ReadonlySet<string> =>
  new Set(threads.flatMap(tid => fds.map(fd => `${tid}-${fd}`)))

/** The thread that last entered a vCPU, which x86 shows; 0 before the first time and where it does not. */
const runnerOf = (view: DebugfsView, folder: string, vcpu: number): number =>
  Number(view.read(`${folder}/vcpu${vcpu}/pid`) ?? 0)

/** The threads that last entered the vCPUs of a VM, by vCPU number, as far as debugfs shows them. */
export function vcpuRunners(
  view: DebugfsView,
  vm: {
    readonly threads: readonly number[]
    readonly fds: readonly number[]
    readonly ids: readonly number[]
  },
): Map<number, number> {
  const possible = folderNames(vm.threads, vm.fds)
  const [folder, ...others] = view.names('').filter(name => possible.has(name))
  if (folder === undefined || others.length > 0) return new Map()
  const runners = vm.ids.map(id => [id, runnerOf(view, folder, id)] as const)
  return new Map(runners.filter(([, tid]) => tid !== 0))
}

/**
 * The one folder that can be this VM's, with the counts that can be read there; undefined where there are none. While no
 * vCPU is told its name alone says whose it is, so that it is to be looked for again.
 */
export function findVmFolder(view: DebugfsView, { threads, fds, vcpus }: VmTraits): VmFolder | undefined {
  const possible = folderNames(threads, fds)
  // A VM whose numbers another has still gets no folder: where x86 shows who runs its vCPUs, these must be the same.
  const isSame = (folder: string) =>
    vcpus.every(({ id, tid }) => {
      const runner = runnerOf(view, folder, id)
      return runner === 0 || runner === tid
    })
  const [folder, ...others] = view.names('').filter(name => possible.has(name) && isSame(name))
  if (folder === undefined || others.length > 0) return undefined
  // A kernel that is locked down lists them all, and opens no file that can be written: only a reading tells.
  const isReadable = (name: string) => parseCount(view.read(`${folder}/${name}`) ?? '') !== undefined
  const counts = view.names(folder).filter(name => view.counts.has(name) && isReadable(name))
  const inode = view.inodeOf(folder)
  if (counts.length === 0 || inode === undefined) return undefined
  return { path: view.pathOf(folder), inode, events: counts.sort().map(describe) }
}
