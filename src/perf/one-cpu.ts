/**
 * PMUs that count the same on whatever CPU: one CPU, shown in `cpumask`, has all their events. Counterpart: event_init() of
 * the kernel's uncore drivers (arch/x86/events/intel/uncore.c, arch/x86/events/amd/uncore.c).
 *
 * As there, an event on another CPU of the same package is moved, before its context and its group are looked at: a leader
 * must be on the CPU that the event is moved to. What is opened on several CPUs counts on each in full. A file NAME.per-pkg,
 * by which perf would take one of a package, has some of its versions take none where the package has no number, as on arm64.
 */
import { Failure } from '../abi/errno.js'
import type { PerfEvent } from './event.js'
import type { Attribute } from './pmu.js'

/** The file that names the CPU. */
export const cpumaskAttribute = (cpu: () => number): Attribute => ({
  name: 'cpumask',
  show: () => `${cpu()}\n`,
})

/** Moves an event on a CPU to the PMU's one, or says why not: EINVAL for a CPU of another package, or one that is offline. */
export function moveToCpu(event: PerfEvent, cpu: number): Failure | undefined {
  if (event.cpu === cpu) return undefined
  if (!isSamePackage(event, cpu))
    return new Failure(
      'EINVAL',
      `cpu is ${event.cpu}: PMU "${event.pmu.name}" counts on CPU ${cpu}, as cpumask says, and on online CPUs of its package`,
    )
  event.cpu = cpu
  return undefined
}

function isSamePackage({ core: { host }, cpu }: PerfEvent, home: number): boolean {
  if (cpu < 0 || !host.isCpuOnline(cpu)) return false
  return host.packageOf === undefined || host.packageOf(cpu) === host.packageOf(home)
}
