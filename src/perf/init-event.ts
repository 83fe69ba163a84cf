/**
 * Finding the PMU of a new event and having it judge. Counterpart: perf_init_event() and perf_try_init_event() in
 * kernel/events/core.c.
 */
import { Failure } from '../abi/errno.js'
import {
  PERF_HW_EVENT_MASK,
  PERF_PMU_CAP_EXTENDED_HW_TYPE,
  PERF_PMU_CAP_EXTENDED_REGS,
  PERF_PMU_CAP_NO_EXCLUDE,
  PERF_PMU_TYPE_SHIFT,
  PERF_TYPE_HARDWARE,
  PERF_TYPE_HW_CACHE,
  PERF_TYPE_RAW,
} from '../abi/perf-event.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import { hasExtendedRegs, type SampleArch } from '../abi/perf-event-regs.js'
import { PerfEvent, type PerfEventSpec } from './event.js'
import type { Pmu } from './pmu.js'
import { callDestroy, callEventInit } from './pmu-calls.js'
import type { PmuRegistry } from './registry.js'

/** What an event is made from, before its PMU is known. */
export type EventRequest = Omit<PerfEventSpec, 'pmu'>

/** has_extended_regs(): both masks count, whether or not sample_type asks for them. */
const namesExtendedRegs = (attr: perf_event_attr, arch: SampleArch): boolean =>
  hasExtendedRegs(arch, attr.sample_regs_user | attr.sample_regs_intr)

const excludes = [
  'exclude_user',
  'exclude_kernel',
  'exclude_hv',
  'exclude_idle',
  'exclude_host',
  'exclude_guest',
] as const

/** What the core refuses for a PMU whose capabilities do not reach, after the PMU itself agreed. */
function capabilityRefusal(event: PerfEvent, arch: SampleArch): Failure | undefined {
  const { attr, pmu } = event
  if ((pmu.capabilities & PERF_PMU_CAP_EXTENDED_REGS) === 0 && namesExtendedRegs(attr, arch))
    return new Failure('EOPNOTSUPP', `PMU "${pmu.name}" samples no extended registers`)
  const exclude = excludes.find(name => attr[name])
  if ((pmu.capabilities & PERF_PMU_CAP_NO_EXCLUDE) !== 0 && exclude)
    return new Failure('EINVAL', `PMU "${pmu.name}" cannot honour ${exclude}: leave it out`)
  return undefined
}

/** Makes event after event, one for each PMU that is asked, so that none sees what another left in it. */
export class EventInit {
  readonly #registry: PmuRegistry
  readonly #arch: SampleArch

  constructor(registry: PmuRegistry, arch: SampleArch) {
    this.#registry = registry
    this.#arch = arch
  }

  /** The event on the PMU that its type selects, or that takes it. */
  init(request: EventRequest): PerfEvent | Failure {
    const { attr } = request
    if (attr.type !== PERF_TYPE_HARDWARE && attr.type !== PERF_TYPE_HW_CACHE)
      return this.#initByType(request, attr.type)
    const extendedType = Number(attr.config >> PERF_PMU_TYPE_SHIFT)
    if (extendedType === 0) return this.#initGeneric(request)
    const masked = { ...attr, config: attr.config & PERF_HW_EVENT_MASK }
    return this.#initByType({ ...request, attr: masked }, extendedType)
  }

  /** A generic hardware event is the RAW PMU's, or else that of whoever has the generic type itself. */
  #initGeneric(request: EventRequest): PerfEvent | Failure {
    const registration = this.#registry.byType(PERF_TYPE_RAW)
    const event = registration && this.#try(request, registration.pmu)
    const isRefused = event instanceof Failure && event.code === 'ENOENT'
    return event && !isRefused ? event : this.#initByType(request, request.attr.type)
  }

  #initByType(request: EventRequest, type: number): PerfEvent | Failure {
    const registration = this.#registry.byType(type)
    if (!registration) return this.#askAll(request)
    const { pmu } = registration
    if (request.attr.type !== type && (pmu.capabilities & PERF_PMU_CAP_EXTENDED_HW_TYPE) === 0)
      return new Failure('ENOENT', `PMU "${pmu.name}" has no generic hardware events`)
    return this.#try(request, pmu)
  }

  #askAll(request: EventRequest): PerfEvent | Failure {
    for (const { pmu } of this.#registry.list()) {
      const event = this.#try(request, pmu)
      if (!(event instanceof Failure) || event.code !== 'ENOENT') return event
    }
    return new Failure('ENOENT', `no PMU has type ${request.attr.type}: each PMU's folder has its type`)
  }

  #try(request: EventRequest, pmu: Pmu): PerfEvent | Failure {
    const event = new PerfEvent({ ...request, pmu })
    const failure = callEventInit(event)
    if (failure) return failure
    const refusal = capabilityRefusal(event, this.#arch)
    if (!refusal) return event
    callDestroy(event)
    return refusal
  }
}
