/**
 * What a perf_event_attr may say, apart from its size. Counterpart: the second half of perf_copy_attr() in
 * kernel/events/core.c, in its order; src/abi/perf-event-attr-bytes.ts has the first.
 */
import { Failure } from '../abi/errno.js'
import type { BitNames } from '../abi/perf-event.js'
import {
  maskOf,
  PERF_FORMAT,
  PERF_SAMPLE,
  PERF_SAMPLE_BRANCH,
  PERF_SAMPLE_BRANCH_HV,
  PERF_SAMPLE_BRANCH_KERNEL,
  PERF_SAMPLE_BRANCH_STACK,
  PERF_SAMPLE_BRANCH_USER,
  PERF_SAMPLE_REGS_INTR,
  PERF_SAMPLE_REGS_USER,
  PERF_SAMPLE_STACK_USER,
  PERF_SAMPLE_WEIGHT,
  PERF_SAMPLE_WEIGHT_STRUCT,
} from '../abi/perf-event.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import { areRegsValid, type SampleArch } from '../abi/perf-event-regs.js'

/** What the checks depend on beside the attr. */
export interface AttrRules {
  readonly arch: SampleArch
  /** perf_event_max_stack, what a sample_max_stack of 0 stands for. */
  readonly maxStack: number
  /** perf_allow_kernel(): why the caller may not see the kernel. */
  allowKernel(): Failure | undefined
}

type Check = (attr: perf_event_attr, rules: AttrRules) => Failure | undefined

const invalid = (message: string): Failure => new Failure('EINVAL', message)
const samples = (attr: perf_event_attr, bit: bigint): boolean => (attr.sample_type & bit) !== 0n

function unknownBits(field: 'sample_type' | 'read_format', names: BitNames): Check {
  const known = maskOf(names)
  return attr => {
    const unknown = attr[field] & ~known
    return unknown === 0n ? undefined : invalid(`${field} has unknown bits: 0x${unknown.toString(16)}`)
  }
}

const BRANCH_PRIVILEGES = PERF_SAMPLE_BRANCH_USER | PERF_SAMPLE_BRANCH_KERNEL | PERF_SAMPLE_BRANCH_HV
const BRANCH_KNOWN = maskOf(PERF_SAMPLE_BRANCH)

/** Branches without a privilege level are recorded at those that the event counts. */
function withPrivileges(attr: perf_event_attr): bigint {
  const mask = attr.branch_sample_type
  if ((mask & BRANCH_PRIVILEGES) !== 0n) return mask
  return (
    mask |
    (attr.exclude_user ? 0n : PERF_SAMPLE_BRANCH_USER) |
    (attr.exclude_kernel ? 0n : PERF_SAMPLE_BRANCH_KERNEL) |
    (attr.exclude_hv ? 0n : PERF_SAMPLE_BRANCH_HV)
  )
}

const branches: Check = (attr, rules) => {
  if (!samples(attr, PERF_SAMPLE_BRANCH_STACK)) return undefined
  const mask = attr.branch_sample_type
  if ((mask & ~BRANCH_KNOWN) !== 0n) return invalid('branch_sample_type has unknown bits')
  if ((mask & ~BRANCH_PRIVILEGES) === 0n) return invalid('branch_sample_type names no kind of branch')
  const isPrivileged = (withPrivileges(attr) & ~PERF_SAMPLE_BRANCH_USER & BRANCH_PRIVILEGES) !== 0n
  return isPrivileged ? rules.allowKernel() : undefined
}

const registers =
  (bit: bigint, field: 'sample_regs_user' | 'sample_regs_intr'): Check =>
  (attr, { arch }) =>
    samples(attr, bit) && !areRegsValid(arch, attr[field])
      ? invalid(`${field} 0x${attr[field].toString(16)} names no register, or one that cannot be sampled`)
      : undefined

/** A sample's own size is a u16. */
const USHRT_MAX = 65535

const userStack: Check = attr => {
  const { sample_stack_user } = attr
  if (!samples(attr, PERF_SAMPLE_STACK_USER)) return undefined
  return sample_stack_user >= USHRT_MAX || sample_stack_user % 8 !== 0
    ? invalid(`sample_stack_user ${sample_stack_user} is no multiple of 8 below ${USHRT_MAX}`)
    : undefined
}

const weights: Check = attr =>
  samples(attr, PERF_SAMPLE_WEIGHT) && samples(attr, PERF_SAMPLE_WEIGHT_STRUCT)
    ? invalid('sample_type has both WEIGHT and WEIGHT_STRUCT: give one of them')
    : undefined

const inheritThread: Check = attr =>
  attr.inherit_thread && !attr.inherit ? invalid('inherit_thread needs inherit') : undefined

const onExec: Check = attr =>
  attr.remove_on_exec && attr.enable_on_exec
    ? invalid('remove_on_exec and enable_on_exec exclude each other')
    : undefined

const sigtrap: Check = attr =>
  attr.sigtrap && !attr.remove_on_exec ? invalid('sigtrap needs remove_on_exec') : undefined

const checks: readonly Check[] = [
  unknownBits('sample_type', PERF_SAMPLE),
  unknownBits('read_format', PERF_FORMAT),
  branches,
  registers(PERF_SAMPLE_REGS_USER, 'sample_regs_user'),
  userStack,
  registers(PERF_SAMPLE_REGS_INTR, 'sample_regs_intr'),
  weights,
  inheritThread,
  onExec,
  sigtrap,
]

/** Judges an attr and completes what it leaves to the kernel. */
export function judgeAttr(attr: perf_event_attr, rules: AttrRules): perf_event_attr | Failure {
  for (const check of checks) {
    const failure = check(attr, rules)
    if (failure) return failure
  }
  return {
    ...attr,
    branch_sample_type: samples(attr, PERF_SAMPLE_BRANCH_STACK) ? withPrivileges(attr) : 0n,
    sample_max_stack: attr.sample_max_stack === 0 ? rules.maxStack : attr.sample_max_stack,
  }
}
