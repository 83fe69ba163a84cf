/**
 * Everything that runs synchronously in the thread that serves, put together: registry, perf core, the PMUs of KVM, guests
 * and the tree over them.
 */
import { orThrow } from '../abi/errno.js'
import { PERF_ATTR_SIZE } from '../abi/perf-event-attr.js'
import { controlTree } from '../control/control-tree.js'
import { vmsDirectory } from '../control/vms-directory.js'
import { dynamicDirectory } from '../kernfs/directory.js'
import type { Directory, Node } from '../kernfs/node.js'
import { Arming } from '../kvm/arming.js'
import { EventNames } from '../kvm/event-names.js'
import { KvmPmu } from '../kvm/kvm-pmu.js'
import { VmList } from '../kvm/vm-list.js'
import { VmPmu } from '../kvm/vm-pmu.js'
import { knownAttrSize } from '../os/attr-size.js'
import { credentialsOf } from '../os/credentials.js'
import { readText } from '../os/debugfs.js'
import { firstOnlineCpu, LinuxHost } from '../os/host.js'
import { hostPmus } from '../os/host-pmus.js'
import { close, pread } from '../os/libc.js'
import { perfWords } from '../os/perf-words.js'
import { isExitState, startTimeNow, threadStat } from '../os/proc-stat.js'
import { LinuxTasks } from '../os/tasks.js'
import { tracepointCounters } from '../os/tracepoints.js'
import { PerfCore } from '../perf/core.js'
import type { PerfEvent } from '../perf/event.js'
import { eventsRefusal } from '../perf/names.js'
import type { Refresher } from '../perf/pmu.js'
import { FIRST_DYNAMIC_TYPE, PmuRegistry } from '../perf/registry.js'
import { GuestsCore } from '../sources/guests-core.js'
import type { ToMain } from '../sources/messages.js'
import type { Report } from '../sources/own/guarded-counts.js'
import { OwnGuests } from '../sources/own/own-guests.js'
import { sysfs } from '../sysfs/sysfs.js'
import type { CoreOptions, ToServer } from './core-options.js'
import type { Own } from './own-modules.js'
import { reportTaken } from './own-names.js'
import { OwnPmu } from './own-pmu.js'

/** What the core has from the program that serves. */
export interface CoreEnvironment {
  /** What the program brought. */
  readonly own: Own
  /** Asks the main thread. */
  readonly send: (message: ToMain) => void
  /** Tells a defect of what the program brought: one message each. */
  readonly report: (message: string) => void
}

const textOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error)

function startTimeOf(tid: number): bigint | undefined {
  const stat = threadStat(tid)
  return stat && !isExitState(stat.state) ? stat.startTime : undefined
}

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
  readonly #ownGuests: OwnGuests
  /** Each takes one PMU away. */
  readonly #unregister: (() => void)[] = []

  /** @throws {ErrnoError} EEXIST or EINVAL when a PMU of the program has a name that is taken or unfit */
  constructor(options: CoreOptions, { own, send, report }: CoreEnvironment) {
    const { owner, allowOther, strict, maxHandles } = options
    const registry = new PmuRegistry(FIRST_DYNAMIC_TYPE, name => hostPmus().some(pmu => pmu.name === name))
    this.tasks = new LinuxTasks(task => core.taskExited(task))
    const attrSize = knownAttrSize() ?? PERF_ATTR_SIZE
    const core = new PerfCore(new LinuxHost(this.tasks), registry, {
      permissionFirst: allowOther,
      attrSize,
      idsAbove: BigInt(process.pid) << PID_SHIFT,
      arch: process.arch === 'arm64' ? 'arm64' : 'x64',
    })
    const vms = new VmList()
    const names = new EventNames(perfWords())
    this.#guests = new GuestsCore({
      vms,
      post: send,
      files: { pread, close, readText },
      tracepoints: options.tracepoints && { catalogue: options.tracepoints, counters: tracepointCounters },
    })
    const tell: Report = (what, error) => report(`${what} failed: ${textOf(error)}`)
    this.#ownGuests = new OwnGuests(own.sources, { vms, startTimeOf, report: tell })
    if (options.kvm) {
      const shared = {
        names,
        arming: new Arming(),
        scanRefresher: this.#scanRefresher(),
        exitEvents: (events: Iterable<PerfEvent>) => core.exitEvents(events),
      }
      const kvm = new KvmPmu(registry, vms, { ...shared, sharing: !strict, strict })
      const whole = new VmPmu(registry, { ...shared, vms, cpu: firstOnlineCpu, startTimeNow })
      this.#unregister.push(
        () => kvm.unregister(),
        () => whole.unregister(),
      )
    }
    this.#registerOwn(registry, own, tell)
    for (const pmu of own.pmus) reportTaken(pmu, name => names.isTaken(name), report)
    this.#ownGuests.look()

    const tree = controlTree({ owner, core, registry, maxHandles, attrSize, credentialsOf, startTimeOf })
    this.root = rootDirectory(owner, {
      ...tree,
      sys: sysfs({ owner, registry, hostPmus }),
      vms: vmsDirectory(vms, owner, name => names.fileOf(name)),
    })
  }

  /** Takes what the main thread tells. */
  receive(message: ToServer): void {
    if (message.kind === 'look') this.#ownGuests.look()
    else this.#guests.receive(message)
  }

  close(): void {
    for (const unregister of this.#unregister) unregister()
    this.#ownGuests.close()
    this.#guests.close()
    this.tasks.close()
  }

  #registerOwn(registry: PmuRegistry, own: Own, tell: Report): void {
    try {
      for (const each of own.pmus) {
        const pmu = new OwnPmu(each, registered => registry.typeOf(registered), tell)
        orThrow(eventsRefusal(pmu.attr_groups) ?? registry.register(pmu))
        this.#unregister.push(() => registry.unregister(pmu))
      }
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Looks for guests everywhere: the main thread does, then the program's sources are asked. */
  #scanRefresher(): Refresher {
    return {
      refresh: done =>
        this.#guests.scanRefresher.refresh(failure => {
          this.#ownGuests.look()
          done(failure)
        }),
    }
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
