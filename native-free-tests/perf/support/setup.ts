/** A core with one fake PMU and one thread, and short ways to open and read events on it. */
import { type Failure, orThrow } from '../../../src/abi/errno.js'
import { attrOf, type perf_event_attr } from '../../../src/abi/perf-event-attr.js'
import { PerfCore, type PerfCoreOptions } from '../../../src/perf/core.js'
import type { PerfEvent } from '../../../src/perf/event.js'
import { perf_read } from '../../../src/perf/event-file.js'
import type { PerfEventOpen } from '../../../src/perf/open.js'
import { PmuRegistry } from '../../../src/perf/registry.js'
import { FakeHost, FakeTask, ROOT } from './fake-host.js'
import { FakePmu, type FakePmuOptions } from './fake-pmu.js'

export type OpenArgs = Partial<Omit<PerfEventOpen, 'attr'>> & { attr?: Partial<perf_event_attr> }

export class Setup {
  readonly task = new FakeTask(100)
  readonly host = new FakeHost(this.task, new FakeTask(ROOT.tid))
  readonly registry = new PmuRegistry()
  readonly core: PerfCore
  readonly pmu: FakePmu

  constructor(options: FakePmuOptions & { readonly core?: PerfCoreOptions } = {}) {
    this.core = new PerfCore(this.host, this.registry, options.core)
    this.pmu = this.register(options)
  }

  register(options: FakePmuOptions, type = -1): FakePmu {
    const pmu = new FakePmu(options)
    pmu.type = orThrow(this.registry.register(pmu, type)).type
    return pmu
  }

  tryOpen({ attr, ...args }: OpenArgs = {}): PerfEvent | Failure {
    return this.core.perf_event_open({
      attr: attrOf({ type: this.pmu.type, ...attr }),
      pid: this.task.tid,
      cpu: -1,
      group_fd: -1,
      flags: 0n,
      caller: ROOT,
      ...args,
    })
  }

  open(args: OpenArgs = {}): PerfEvent {
    return orThrow(this.tryOpen(args))
  }

  /** Lets the thread run, so that its context's time goes on. */
  run(nanoseconds: bigint): void {
    this.task.time += nanoseconds
  }
}

/** The u64 values that a read gives. */
export function values(event: PerfEvent, size = 16384): bigint[] {
  const bytes = perf_read(event, size)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.byteLength / 8 }, (_, i) => view.getBigUint64(i * 8, true))
}
