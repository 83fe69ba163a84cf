/**
 * One kind of event on one vCPU, shared by all perf events that count it: what the patch looks for in its event list
 * as an (event_id, vcpu) pair.
 *
 * The patch's hooks have no use count, so that stopping one of two events would disarm the other. Here the source is
 * asked to count for the first that starts and to cease for the last that stops.
 */
import type { Failure } from '../abi/errno.js'
import { log } from '../log.js'
import type { PerfEvent } from '../perf/event.js'
import type { Refresher, TimesOnCpu } from '../perf/pmu.js'
import type { Counted } from './counted.js'
import type { CpuCount, Vcpu } from './vm.js'

/** What the PMU asks of those who keep a statistic. Neither may block or call back. */
export interface kvm_event_cb {
  /** For messages; absent: the event's id. */
  readonly name?: string
  /** The statistic now, or when it was last kept; undefined where it cannot be read. */
  get_event_count(vcpu: Vcpu): bigint | undefined
  /** Has the statistic kept, or no longer; a Failure where it cannot be. */
  configure_event(vcpu: Vcpu, enable: boolean): Failure | undefined
  /** Whether this vCPU has the statistic; absent: every one has. */
  has_event?(vcpu: Vcpu): boolean
  /** The same on one CPU alone; undefined: which CPU the vCPU's thread runs on is not known to who counts. */
  onCpu?(vcpu: Vcpu, cpu: number): CpuCount | undefined
  /** For what onCpu() gave: how long it was kept, and the vCPU's thread was there meanwhile. */
  timesOnCpu?(vcpu: Vcpu): TimesOnCpu
  /** What brings this vCPU's statistic up to date, where something must; absent: nothing need. */
  refresher?(vcpu: Vcpu): Refresher | undefined
}

export class VcpuEvent implements Counted {
  readonly event_id: number
  readonly vcpu: Vcpu
  /** The perf events that are open on it. */
  readonly events = new Set<PerfEvent>()
  readonly #cb: kvm_event_cb
  #armed = 0

  constructor(event_id: number, vcpu: Vcpu, cb: kvm_event_cb) {
    this.event_id = event_id
    this.vcpu = vcpu
    this.#cb = cb
  }

  get what(): string {
    return `Event "${this.#cb.name ?? this.event_id}" of vCPU thread ${this.vcpu.tid}`
  }

  get refresher(): Refresher | undefined {
    return this.#cb.refresher?.(this.vcpu)
  }

  get_event_count(): bigint | undefined {
    return this.#cb.get_event_count(this.vcpu)
  }

  timesOnCpu(): TimesOnCpu | undefined {
    return this.#cb.timesOnCpu?.(this.vcpu)
  }

  arm(): Failure | undefined {
    const failure = this.#armed === 0 ? this.#cb.configure_event(this.vcpu, true) : undefined
    if (!failure) this.#armed += 1
    return failure
  }

  disarm(): void {
    this.#armed -= 1
    if (this.#armed > 0) return
    const failure = this.#cb.configure_event(this.vcpu, false)
    if (failure)
      log.kvm('event %d of vCPU thread %d stays armed: %s', this.event_id, this.vcpu.tid, failure.message)
  }
}
