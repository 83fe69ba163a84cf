/**
 * The library: a program serves PMUs of its own, and guests of its own for the PMU `kvm`.
 *
 * FUSE loop, tree and perf core run in one Worker, synchronously from request to reply. So what a program brings is a
 * module that this Worker imports, never an object of the thread that calls mount(). Its callbacks run between two
 * requests: they must return at once, nothing else of the module runs meanwhile, and no timer or Promise ever does.
 * Counts that the program itself keeps reach them through a SharedArrayBuffer among the module's options.
 *
 * A callback that throws is told in one message, and its caller gets an errno (EIO): the server goes on.
 */
import type { Mounted, MountOptions } from './serve/mount-options.js'

export { ErrnoError, type ErrnoName, Failure } from './abi/errno.js'
export {
  PERF_EF_START,
  PERF_EF_UPDATE,
  PERF_HES_STOPPED,
  PERF_HES_UPTODATE,
  PERF_PMU_CAP_NO_EXCLUDE,
  PERF_PMU_CAP_NO_INTERRUPT,
} from './abi/perf-event.js'
export type { perf_event_attr } from './abi/perf-event-attr.js'
export type { EventDescription } from './kvm/vm.js'
export {
  type CountedEvent,
  type CountingPmu,
  cpuPmu,
  machinePmu,
  type Thread,
  threadPmu,
} from './perf/counting-pmu.js'
export type { PerfEvent } from './perf/event.js'
export type { Attribute, AttributeGroup, TaskContextNumber } from './perf/pmu.js'
export type { KvmOptions, Mounted, MountOptions } from './serve/mount-options.js'
export type { OwnModule } from './serve/own-modules.js'
export type { Pmu } from './serve/own-pmu.js'
export type { GuestSource, OwnCounts, OwnGuest, OwnVcpu } from './sources/own/guest-source.js'

/**
 * Mounts, and serves from a thread of its own until it is unmounted. The mount keeps the program alive.
 *
 * A program that is told to end unmounts first: signals are its own affair. Where it calls process.exit(), or ends
 * by an error that nobody caught, the mount is taken away; after SIGKILL the next mount() on the folder does it, or
 * `pmufs umount`. The program must not use files of its own mount: should it be killed meanwhile, it would wait for itself.
 *
 * @example
 * ```ts
 * const mounted = await mount({ dir: 'mnt', pmus: [{ module: new URL('./my-pmu.js', import.meta.url) }] })
 * process.once('SIGINT', () => void mounted.unmount())
 * await mounted.ended
 * ```
 *
 * @throws {ErrnoError} ENOTDIR when `dir` is no folder; EBUSY when it is served already; EINVAL when options of a module
 *   cannot cross to another thread; EPERM, ENOENT or ENODEV when the machine does not let it mount
 * @throws what a module throws, or that it does not make what it should, as an Error that has crossed from the thread
 */
export async function mount(options: MountOptions): Promise<Mounted> {
  const served = await import('./serve/mount.js')
  return served.mount(options)
}
