/**
 * How often each statistic of each vCPU is to be kept: several PMUs count the same vCPUs, and a source is asked for
 * the first and let go for the last of them all.
 */
import type { Failure } from '../abi/errno.js'
import type { Vcpu } from './vm.js'

export class Arming {
  readonly #uses = new WeakMap<Vcpu, Map<string, number>>()

  /** One more wants it kept, or one less; a Failure where the source refuses. */
  configure_event(vcpu: Vcpu, event: string, enable: boolean): Failure | undefined {
    const uses = this.#uses.get(vcpu) ?? new Map<string, number>()
    this.#uses.set(vcpu, uses)
    const before = uses.get(event) ?? 0
    const after = before + (enable ? 1 : -1)
    const isChange = before === 0 || after === 0
    const failure = isChange ? vcpu.vm.source.configure_event(vcpu, event, enable) : undefined
    if (!failure || !enable) uses.set(event, after)
    return failure
  }
}
