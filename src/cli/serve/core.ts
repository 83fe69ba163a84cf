/**
 * Everything that runs synchronously in the thread that serves, put together: registry, perf core, the PMUs of KVM, guests
 * and the tree over them.
 */
import { PERF_ATTR_SIZE } from '../../abi/perf-event-attr.js'
import { controlTree } from '../../control/control-tree.js'
import { vmsDirectory } from '../../control/vms-directory.js'
import { dynamicDirectory } from '../../kernfs/directory.js'
import type { Directory, Node } from '../../kernfs/node.js'
import { Arming } from '../../kvm/arming.js'
import { KvmPmu } from '../../kvm/kvm-pmu.js'
import { VmList } from '../../kvm/vm-list.js'
import { VmPmu } from '../../kvm/vm-pmu.js'
import { knownAttrSize } from '../../os/attr-size.js'
import { credentialsOf } from '../../os/credentials.js'
import { openToRead } from '../../os/debugfs.js'
import { firstOnlineCpu, LinuxHost } from '../../os/host.js'
import { hostPmus } from '../../os/host-pmus.js'
import { close, pread } from '../../os/libc.js'
import { startTimeNow } from '../../os/proc-stat.js'
import { LinuxTasks } from '../../os/tasks.js'
import { tracepointCounters } from '../../os/tracepoints.js'
import { PerfCore } from '../../perf/core.js'
import type { PerfEvent } from '../../perf/event.js'
import { PmuRegistry } from '../../perf/registry.js'
import { GuestsCore } from '../../sources/guests-core.js'
import type { ToCore, ToMain } from '../../sources/messages.js'
import { sysfs } from '../../sysfs/sysfs.js'
import type { CoreOptions } from './core-options.js'

/**
 * perf finds a group's members by their ids alone (perf_evlist__id2sid()), those of kernel events among them, which
 * count up from boot. The server's process id in the upper half keeps ids apart from these and from another mount's.
 */
const PID_SHIFT = 32n

export class Core {
  readonly root: Directory
  /** The threads that are counted; whoever serves collects their exits. */
  readonly tasks: LinuxTasks
  readonly #guests: GuestsCore
  readonly #pmus: readonly (KvmPmu | VmPmu)[] = []

  /** @param send asks the main thread */
  constructor(options: CoreOptions, send: (message: ToMain) => void) {
    const { owner, allowOther, strict, maxHandles } = options
    const registry = new PmuRegistry()
    this.tasks = new LinuxTasks(task => core.taskExited(task))
    const attrSize = knownAttrSize() ?? PERF_ATTR_SIZE
    const core = new PerfCore(new LinuxHost(this.tasks), registry, {
      permissionFirst: allowOther,
      attrSize,
      idsAbove: BigInt(process.pid) << PID_SHIFT,
      arch: process.arch === 'arm64' ? 'arm64' : 'x64',
    })
    const vms = new VmList()
    this.#guests = new GuestsCore({
      vms,
      post: send,
      files: { pread, close, openToRead },
      tracepoints: options.tracepoints && { catalogue: options.tracepoints, counters: tracepointCounters },
    })
    if (options.kvm) {
      const shared = {
        arming: new Arming(),
        scanRefresher: this.#guests.scanRefresher,
        exitEvents: (events: Iterable<PerfEvent>) => core.exitEvents(events),
      }
      this.#pmus = [
        new KvmPmu(registry, vms, { ...shared, sharing: !strict, strict }),
        new VmPmu(registry, { ...shared, vms, cpu: firstOnlineCpu, startTimeNow }),
      ]
    }

    const tree = controlTree({ owner, core, registry, maxHandles, attrSize, credentialsOf })
    this.root = rootDirectory(owner, {
      ...tree,
      sys: sysfs({ owner, registry, hostPmus }),
      vms: vmsDirectory(vms, owner),
    })
  }

  /** Takes what the main thread tells. */
  receive(message: ToCore): void {
    this.#guests.receive(message)
  }

  close(): void {
    for (const pmu of this.#pmus) pmu.unregister()
    this.#guests.close()
    this.tasks.close()
  }
}

/** The root of the mount; a child that is a function is made anew at each look-up. */
function rootDirectory(
  owner: CoreOptions['owner'],
  children: Readonly<Record<string, Directory | (() => Node)>>,
): Directory {
  return dynamicDirectory({
    owner,
    ino: 1n,
    names: () => Object.keys(children),
    child: name => {
      const child = Object.hasOwn(children, name) ? children[name] : undefined
      return typeof child === 'function' ? child() : child
    },
    subdirectories: () => Object.values(children).filter(child => typeof child !== 'function').length,
  })
}
