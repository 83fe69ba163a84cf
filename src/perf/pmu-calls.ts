/**
 * How the core calls a PMU. The callbacks are not to throw; one that does is a defect of that PMU, which is logged
 * and must not leave the core's lists half changed.
 */
import { ErrnoError, Failure } from '../abi/errno.js'
import { PERF_EF_START } from '../abi/perf-event.js'
import { log } from '../log.js'
import type { PerfEvent } from './event.js'
import type { Pmu } from './pmu.js'

function guarded<T>(pmu: Pmu, callback: string, call: () => T, otherwise: T): T {
  try {
    return call()
  } catch (error) {
    log.perf('pmu %s: %s threw: %O', pmu.name, callback, error)
    return otherwise
  }
}

const broken = (pmu: Pmu, callback: string): Failure =>
  new Failure('EIO', `PMU "${pmu.name}" failed in ${callback}; DEBUG=pmufs:perf shows why`)

export function callEventInit(event: PerfEvent): Failure | undefined {
  const { pmu } = event
  return guarded(pmu, 'event_init', () => pmu.event_init(event), broken(pmu, 'event_init'))
}

/** Frees what event_init took, once. */
export function callDestroy(event: PerfEvent): void {
  const { destroy } = event
  event.destroy = undefined
  if (destroy) guarded(event.pmu, 'destroy', () => destroy(event), undefined)
}

export function callAdd(event: PerfEvent): Failure | undefined {
  const { pmu } = event
  const failure = whileDisabled(pmu, () =>
    guarded(pmu, 'add', () => pmu.add(event, PERF_EF_START), broken(pmu, 'add')),
  )
  event.failure = failure?.code === 'EIO' ? failure : undefined
  return failure
}

export function callDel(event: PerfEvent): void {
  const { pmu } = event
  whileDisabled(pmu, () => guarded(pmu, 'del', () => pmu.del(event, 0), undefined))
}

export function callStart(event: PerfEvent, flags: number): void {
  guarded(event.pmu, 'start', () => event.pmu.start(event, flags), undefined)
}

export function callStop(event: PerfEvent, flags: number): void {
  guarded(event.pmu, 'stop', () => event.pmu.stop(event, flags), undefined)
}

/** Has the count folded in. The kernel's callback cannot fail; one that throws must not pass for a count. */
export function callRead(event: PerfEvent): Failure | undefined {
  const { pmu } = event
  try {
    pmu.read(event)
    event.failure = undefined
  } catch (error) {
    log.perf('pmu %s: read threw: %O', pmu.name, error)
    const isAnswer = error instanceof ErrnoError && error.code === 'EIO'
    event.failure = isAnswer ? new Failure('EIO', error.message) : broken(pmu, 'read')
  }
  return event.failure
}

export function callCheckPeriod(event: PerfEvent, value: bigint): Failure | undefined {
  const { pmu } = event
  return guarded(pmu, 'check_period', () => pmu.check_period?.(event, value), broken(pmu, 'check_period'))
}

/** Runs `change` between pmu_disable and pmu_enable, which nest. */
export function whileDisabled<T>(pmu: Pmu, change: () => T): T {
  guarded(pmu, 'pmu_disable', () => pmu.pmu_disable?.(), undefined)
  try {
    return change()
  } finally {
    guarded(pmu, 'pmu_enable', () => pmu.pmu_enable?.(), undefined)
  }
}

/**
 * Runs `steps` as one transaction of the PMU (PERF_PMU_TXN_): all of it takes effect or, where a step or the PMU
 * refuses, nothing.
 *
 * @param undo takes back the steps that were done, before the PMU is told of the cancellation
 */
export function transaction(pmu: Pmu, flags: number, steps: () => boolean, undo: () => void): boolean {
  guarded(pmu, 'start_txn', () => pmu.start_txn?.(flags), undefined)
  if (steps() && !guarded(pmu, 'commit_txn', () => pmu.commit_txn?.(), broken(pmu, 'commit_txn'))) return true
  undo()
  guarded(pmu, 'cancel_txn', () => pmu.cancel_txn?.(), undefined)
  return false
}
