/** A machine with one VM and the host PMU, whose callbacks are called as the perf core calls them. */
import { Failure, orThrow } from '../../../src/abi/errno.js'
import { PERF_EF_START, PERF_EF_UPDATE } from '../../../src/abi/perf-event.js'
import { attrOf, type perf_event_attr } from '../../../src/abi/perf-event-attr.js'
import { KvmPmu, type KvmPmuOptions } from '../../../src/kvm/kvm-pmu.js'
import { VmList } from '../../../src/kvm/vm-list.js'
import { PerfEvent } from '../../../src/perf/event.js'
import type { Pmu } from '../../../src/perf/pmu.js'
import { PmuRegistry } from '../../../src/perf/registry.js'
import type { Task } from '../../../src/perf/task.js'
import { FakeSource, type FakeSourceOptions } from '../../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../../src/sources/fake/fake-vm.js'
import { fakeHost, fakeTask } from './fake-host.js'

export { fakeTask }

export type MachineOptions = KvmPmuOptions & FakeSourceOptions

/** What to open: by default event 0 of vCPU 0's thread. */
export type What = Partial<perf_event_attr> & { target?: Task | undefined; cpu?: number }

let lastId = 0n

/** An event as the core makes it before it asks the PMU. */
export function newEvent(pmu: Pmu, what: What = {}): PerfEvent {
  const { target, cpu = -1, ...attr } = { target: fakeTask(1001), ...what }
  lastId += 1n
  return new PerfEvent({
    core: { host: fakeHost(), freed: () => undefined },
    id: lastId,
    attr: attrOf({ type: 4096, ...attr }),
    pmu,
    cpu,
    task: target,
    group_leader: undefined,
  })
}

/** The VM's vCPUs 0 and 1 run on threads 1001 and 1002 of process 1000. */
export function machine(options: MachineOptions = {}) {
  const registry = new PmuRegistry()
  const vms = new VmList()
  const source = new FakeSource(options)
  const vm = new FakeVm({ source })
  vms.add(vm)
  const kvm = new KvmPmu(registry, vms, options)
  const pmu = kvm.hostPmu
  /** The event, or why the PMU refuses it. */
  const tryOpen = (what: What = {}): PerfEvent | Failure => {
    const event = newEvent(pmu, what)
    return pmu.event_init(event) ?? event
  }
  const open = (what: What = {}): PerfEvent => orThrow(tryOpen(what))
  /** Opens and starts, as an event that is not disabled. */
  const count = (what: What = {}): PerfEvent => {
    const event = open(what)
    const failure = pmu.add(event, PERF_EF_START)
    return orThrow(failure ?? event)
  }
  const read = (event: PerfEvent): bigint => {
    pmu.read(event)
    return event.count
  }
  const close = (event: PerfEvent): void => {
    pmu.del(event, PERF_EF_UPDATE)
    event.destroy?.(event)
  }
  const [first, second] = [vm.vcpu(0), vm.vcpu(1)]
  return { registry, vms, source, vm, kvm, pmu, first, second, tryOpen, open, count, read, close }
}

/** Code and message of a refusal; what was not refused is shown as such. */
export const refusal = (result: unknown): string =>
  result instanceof Failure ? `${result.code}: ${result.message}` : 'not refused'
