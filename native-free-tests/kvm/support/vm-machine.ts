/** A machine with one VM and both PMUs of KVM under the perf core. */
import { orThrow } from '../../../src/abi/errno.js'
import { attrOf, type perf_event_attr } from '../../../src/abi/perf-event-attr.js'
import { Arming } from '../../../src/kvm/arming.js'
import { KvmPmu } from '../../../src/kvm/kvm-pmu.js'
import { VmList } from '../../../src/kvm/vm-list.js'
import { VmPmu } from '../../../src/kvm/vm-pmu.js'
import { PerfCore } from '../../../src/perf/core.js'
import type { PerfEvent } from '../../../src/perf/event.js'
import { perf_ioctl, perf_read } from '../../../src/perf/event-file.js'
import type { Refresher } from '../../../src/perf/pmu.js'
import { PmuRegistry } from '../../../src/perf/registry.js'
import { FakeSource, type FakeSourceOptions } from '../../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../../src/sources/fake/fake-vm.js'
import type { FakeWhole } from '../../../src/sources/fake/fake-whole.js'
import { fakeHost, fakeTask } from './fake-host.js'

/** The type of `kvm`, the first that is registered. */
export const KVM = 4096
/** The type of `kvm_vm`. */
export const KVM_VM = 4097
/** The CPU that cpumask shows. */
export const CPU = 1
/** Root. */
export const caller = { uid: 0, gid: 0, tid: 1 }
/** The id of remote_tlb_flush. */
export const flushes = 45n

interface MachineOptions extends FakeSourceOptions {
  readonly whole?: FakeWhole
  readonly scanRefresher?: Refresher
}

/** What to open: by default the sum of event 0 over process 1000, on the CPU. */
export type What = Partial<perf_event_attr> & { pid?: number; cpu?: number }

/** A VM of process 1000 whose vCPUs 0 and 1 run on threads 1001 and 1002, and both PMUs, wired as the program does. */
export function machine({ whole, scanRefresher, ...options }: MachineOptions = {}) {
  const registry = new PmuRegistry()
  const vms = new VmList()
  const source = new FakeSource({ events: ['exits', 'io_exits'], ...options })
  const vm = new FakeVm({ source, ...(whole && { whole }) })
  vms.add(vm)
  const clock = { ticks: 500n }
  const shared = {
    arming: new Arming(),
    exitEvents: (events: readonly PerfEvent[]) => core.exitEvents(events),
    ...(scanRefresher && { scanRefresher }),
  }
  const kvm = new KvmPmu(registry, vms, { ...shared, sharing: true })
  const pmu = new VmPmu(registry, { ...shared, vms, cpu: () => CPU, startTimeNow: () => clock.ticks })
  const tasks = [1000, 1001, 1002, 1003].map(tid => fakeTask(tid))
  tasks.push(fakeTask(2000, 2000), fakeTask(4711, 4700))
  const core: PerfCore = new PerfCore(fakeHost(tasks), registry)
  const tryOpen = ({ pid = -1, cpu = pid === -1 ? CPU : -1, ...attr }: What = {}) =>
    core.perf_event_open({
      attr: attrOf({ type: KVM_VM, ...(pid === -1 && { config1: 1000n }), ...attr }),
      pid,
      cpu,
      group_fd: -1,
      flags: 0n,
      caller,
    })
  const open = (what: What = {}): PerfEvent => orThrow(tryOpen(what))
  return { registry, vms, vm, source, kvm, pmu, core, tasks, clock, tryOpen, open }
}

/** The event's count, as a reader of its descriptor gets it. */
export function read(event: PerfEvent): bigint {
  const bytes = perf_read(event, 8)
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)
}

/** An ioctl without argument. */
export const ioctl = (event: PerfEvent, cmd: number): void => {
  perf_ioctl(event, { cmd, arg: 0n, input: new Uint8Array() })
}

/** The PMU's attribute files: path and text. */
export const files = (pmu: VmPmu): Record<string, string> =>
  Object.fromEntries(
    pmu.attr_groups.flatMap(({ name = '.', attrs }) =>
      attrs.map(attr => [`${name}/${attr.name}`, attr.show()]),
    ),
  )
