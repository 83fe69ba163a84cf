/**
 * Which perf events count what on which vCPU. Counterpart: event_list_head and its lock in the patch; one thread
 * serves here, so that no lock is needed and nothing is allocated under one.
 *
 * A vCPU is compared as an object: the patch compares thread ids, which are used again, after it let go of them.
 */
import type { PerfEvent } from '../perf/event.js'
import { type kvm_event_cb, VcpuEvent } from './vcpu-event.js'
import type { Vcpu } from './vm.js'

export class VcpuEventList {
  readonly #byVcpu = new Map<Vcpu, Map<number, VcpuEvent>>()

  /** Whether any perf event is open on the pair. */
  has(event_id: number, vcpu: Vcpu): boolean {
    return this.#byVcpu.get(vcpu)?.has(event_id) ?? false
  }

  /** Adds a perf event to those of the pair. */
  add(event: PerfEvent, event_id: number, vcpu: Vcpu, cb: kvm_event_cb): VcpuEvent {
    const ofVcpu = this.#byVcpu.get(vcpu) ?? new Map<number, VcpuEvent>()
    const counted = ofVcpu.get(event_id) ?? new VcpuEvent(event_id, vcpu, cb)
    counted.events.add(event)
    ofVcpu.set(event_id, counted)
    this.#byVcpu.set(vcpu, ofVcpu)
    return counted
  }

  /** Takes a perf event out; the pair goes with its last one. */
  remove(event: PerfEvent, { event_id, vcpu, events }: VcpuEvent): void {
    events.delete(event)
    const ofVcpu = this.#byVcpu.get(vcpu)
    if (events.size > 0 || !ofVcpu) return
    ofVcpu.delete(event_id)
    if (ofVcpu.size === 0) this.#byVcpu.delete(vcpu)
  }

  /** The perf events on a vCPU, in the order in which their pairs were opened first. */
  onVcpu(vcpu: Vcpu): PerfEvent[] {
    return [...(this.#byVcpu.get(vcpu)?.values() ?? [])].flatMap(counted => [...counted.events])
  }
}
