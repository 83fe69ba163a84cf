/**
 * Whom an event of the PMU `kvm_vm` counts, and what is refused. Counterparts: event_init() of the kernel's uncore
 * drivers, and the revision of the patch whose config1 held the pid of the VM's process.
 */
import { Failure } from '../abi/errno.js'
import { PERF_ATTACH_TASK } from '../abi/perf-event.js'
import type { PerfEvent } from '../perf/event.js'
import { moveToCpu } from '../perf/one-cpu.js'

const VM_MASK = 0xffff_ffffn

/** The process that the term `vm` names, 0 where it is left out. */
export const to_vm = (config1: bigint): number => Number(config1 & VM_MASK)

/** A process whose VMs are meant. */
export interface CountedProcess {
  readonly tgid: number
  /** False for a thread that is not its main one: that counts 0, so that the threads together count once. */
  readonly isCounting: boolean
}

const invalid = (message: string): Failure => new Failure('EINVAL', message)

/**
 * The process that an event is on: that of its thread, or for an event on a CPU the one that `vm` names.
 *
 * @param cpu the one CPU to which events of its package are moved: on each they count the same
 */
export function countedProcess(event: PerfEvent, cpu: number): CountedProcess | Failure {
  const vm = to_vm(event.attr.config1)
  const { target } = event.hw
  if (event.attach_state !== PERF_ATTACH_TASK || !target) return moveToCpu(event, cpu) ?? processOnCpu(vm)
  if (event.cpu >= 0)
    // The kernel would count while the thread is on that CPU; nothing tells user space when that is.
    return new Failure(
      'EOPNOTSUPP',
      `cpu is ${event.cpu}: a VM runs on every CPU; set it to -1, or leave the thread out and give vm=${target.tgid}`,
    )
  if (vm !== 0 && vm !== target.tgid)
    return invalid(
      `vm is ${vm}: thread ${target.tid} belongs to process ${target.tgid}; give vm=${target.tgid} or leave vm out`,
    )
  return { tgid: target.tgid, isCounting: target.tid === target.tgid }
}

function processOnCpu(vm: number): CountedProcess | Failure {
  if (vm === 0)
    return invalid('vm is missing: name the VM by the process id of its VMM, as vms/*/pid has it: vm=PID')
  return { tgid: vm, isCounting: true }
}

/** The process runs no VM: EINVAL. */
export const noVm = (tgid: number): Failure =>
  invalid(`process ${tgid} runs no VM that can be counted; vms/*/pid lists those that do`)

/** A VM has no such statistic, though another may have it: EOPNOTSUPP, which perf shows as not supported. */
export const notCountedThere = (statistic: string, tgid: number): Failure =>
  new Failure('EOPNOTSUPP', `a VM of process ${tgid} does not count "${statistic}"`)
