/**
 * Constants of the perf interface. Counterparts: include/uapi/linux/perf_event.h, and, for what a PMU and the core
 * say to each other, include/linux/perf_event.h.
 *
 * Each set of flag bits is one table in bit order, so that a name and its bit are written once; the constants that
 * the program uses are taken from the table under their kernel names.
 */
import { _IO, _IOR, _IOW, _IOWR } from './ioctl.js'

/** Names of the bits of one word, each with its mask. */
export type BitNames<N extends string = string> = Readonly<Record<N, bigint>>

const bits = <N extends string>(...names: readonly N[]): BitNames<N> =>
  Object.fromEntries(names.map((name, i) => [name, 1n << BigInt(i)])) as Record<N, bigint>

/** All the bits of a set. */
export const maskOf = (names: BitNames): bigint => Object.values(names).reduce((all, bit) => all | bit, 0n)

/** enum perf_type_id: the PMUs whose type is fixed. */
export const PERF_TYPE_HARDWARE = 0
export const PERF_TYPE_SOFTWARE = 1
export const PERF_TYPE_TRACEPOINT = 2
export const PERF_TYPE_HW_CACHE = 3
export const PERF_TYPE_RAW = 4

/** Of a PERF_TYPE_HARDWARE or PERF_TYPE_HW_CACHE config, the high half names the PMU. */
export const PERF_PMU_TYPE_SHIFT = 32n
export const PERF_HW_EVENT_MASK = 0xffff_ffffn

/** A sample_period with this bit is taken for a negative one. */
export const PERF_PERIOD_SIGN = 1n << 63n

/** `attr.read_format` */
export const PERF_FORMAT = bits('TOTAL_TIME_ENABLED', 'TOTAL_TIME_RUNNING', 'ID', 'GROUP', 'LOST')
export const PERF_FORMAT_TOTAL_TIME_ENABLED = PERF_FORMAT.TOTAL_TIME_ENABLED
export const PERF_FORMAT_TOTAL_TIME_RUNNING = PERF_FORMAT.TOTAL_TIME_RUNNING
export const PERF_FORMAT_ID = PERF_FORMAT.ID
export const PERF_FORMAT_GROUP = PERF_FORMAT.GROUP
export const PERF_FORMAT_LOST = PERF_FORMAT.LOST

/** `attr.sample_type` */
export const PERF_SAMPLE = bits(
  'IP',
  'TID',
  'TIME',
  'ADDR',
  'READ',
  'CALLCHAIN',
  'ID',
  'CPU',
  'PERIOD',
  'STREAM_ID',
  'RAW',
  'BRANCH_STACK',
  'REGS_USER',
  'STACK_USER',
  'WEIGHT',
  'DATA_SRC',
  'IDENTIFIER',
  'TRANSACTION',
  'REGS_INTR',
  'PHYS_ADDR',
  'AUX',
  'CGROUP',
  'DATA_PAGE_SIZE',
  'CODE_PAGE_SIZE',
  'WEIGHT_STRUCT',
)
export const PERF_SAMPLE_TID = PERF_SAMPLE.TID
export const PERF_SAMPLE_READ = PERF_SAMPLE.READ
export const PERF_SAMPLE_CALLCHAIN = PERF_SAMPLE.CALLCHAIN
export const PERF_SAMPLE_BRANCH_STACK = PERF_SAMPLE.BRANCH_STACK
export const PERF_SAMPLE_REGS_USER = PERF_SAMPLE.REGS_USER
export const PERF_SAMPLE_STACK_USER = PERF_SAMPLE.STACK_USER
export const PERF_SAMPLE_WEIGHT = PERF_SAMPLE.WEIGHT
export const PERF_SAMPLE_REGS_INTR = PERF_SAMPLE.REGS_INTR
export const PERF_SAMPLE_PHYS_ADDR = PERF_SAMPLE.PHYS_ADDR
export const PERF_SAMPLE_WEIGHT_STRUCT = PERF_SAMPLE.WEIGHT_STRUCT

/** `attr.branch_sample_type` */
export const PERF_SAMPLE_BRANCH = bits(
  'USER',
  'KERNEL',
  'HV',
  'ANY',
  'ANY_CALL',
  'ANY_RETURN',
  'IND_CALL',
  'ABORT_TX',
  'IN_TX',
  'NO_TX',
  'COND',
  'CALL_STACK',
  'IND_JUMP',
  'CALL',
  'NO_FLAGS',
  'NO_CYCLES',
  'TYPE_SAVE',
  'HW_INDEX',
  'PRIV_SAVE',
  'COUNTERS',
)
export const PERF_SAMPLE_BRANCH_USER = PERF_SAMPLE_BRANCH.USER
export const PERF_SAMPLE_BRANCH_KERNEL = PERF_SAMPLE_BRANCH.KERNEL
export const PERF_SAMPLE_BRANCH_HV = PERF_SAMPLE_BRANCH.HV

/** `flags` of perf_event_open(2) */
export const PERF_FLAG = bits('FD_NO_GROUP', 'FD_OUTPUT', 'PID_CGROUP', 'FD_CLOEXEC')
export const PERF_FLAG_FD_NO_GROUP = PERF_FLAG.FD_NO_GROUP
export const PERF_FLAG_FD_OUTPUT = PERF_FLAG.FD_OUTPUT
export const PERF_FLAG_PID_CGROUP = PERF_FLAG.PID_CGROUP

const IOC_TYPE = 0x24
export const PERF_EVENT_IOC_ENABLE = _IO(IOC_TYPE, 0)
export const PERF_EVENT_IOC_DISABLE = _IO(IOC_TYPE, 1)
export const PERF_EVENT_IOC_REFRESH = _IO(IOC_TYPE, 2)
export const PERF_EVENT_IOC_RESET = _IO(IOC_TYPE, 3)
export const PERF_EVENT_IOC_PERIOD = _IOW(IOC_TYPE, 4, 8)
export const PERF_EVENT_IOC_SET_OUTPUT = _IO(IOC_TYPE, 5)
export const PERF_EVENT_IOC_SET_FILTER = _IOW(IOC_TYPE, 6, 8)
export const PERF_EVENT_IOC_ID = _IOR(IOC_TYPE, 7, 8)
export const PERF_EVENT_IOC_SET_BPF = _IOW(IOC_TYPE, 8, 4)
export const PERF_EVENT_IOC_PAUSE_OUTPUT = _IOW(IOC_TYPE, 9, 4)
export const PERF_EVENT_IOC_QUERY_BPF = _IOWR(IOC_TYPE, 10, 8)
export const PERF_EVENT_IOC_MODIFY_ATTRIBUTES = _IOW(IOC_TYPE, 11, 8)
/** Bit 0 of the argument of ENABLE, DISABLE and RESET: the whole group. */
export const PERF_IOC_FLAG_GROUP = 1n

/** struct pmu capabilities */
export const PERF_PMU_CAP_NO_INTERRUPT = 0x1
export const PERF_PMU_CAP_NO_NMI = 0x2
export const PERF_PMU_CAP_EXTENDED_REGS = 0x8
export const PERF_PMU_CAP_EXCLUSIVE = 0x10
export const PERF_PMU_CAP_NO_EXCLUDE = 0x40
export const PERF_PMU_CAP_AUX_OUTPUT = 0x80
export const PERF_PMU_CAP_EXTENDED_HW_TYPE = 0x100
export const PERF_PMU_CAP_AUX_PAUSE = 0x200

/** Flags of the PMU's add, del, start and stop. */
export const PERF_EF_START = 0x1
export const PERF_EF_RELOAD = 0x2
export const PERF_EF_UPDATE = 0x4

/** Arguments of start_txn. */
export const PERF_PMU_TXN_ADD = 0x1
export const PERF_PMU_TXN_READ = 0x2

/** hw_perf_event::state */
export const PERF_HES_STOPPED = 0x1
export const PERF_HES_UPTODATE = 0x2

/** perf_event::attach_state */
export const PERF_ATTACH_CONTEXT = 0x1
export const PERF_ATTACH_GROUP = 0x2
export const PERF_ATTACH_TASK = 0x4
export const PERF_ATTACH_EXCLUSIVE = 0x80

/** enum perf_event_state; REVOKED and the value of DEAD are those of Linux 6.15 and later. */
export const PERF_EVENT_STATE_ACTIVE = 1
export const PERF_EVENT_STATE_INACTIVE = 0
export const PERF_EVENT_STATE_OFF = -1
export const PERF_EVENT_STATE_ERROR = -2
export const PERF_EVENT_STATE_EXIT = -3
export const PERF_EVENT_STATE_REVOKED = -4
export const PERF_EVENT_STATE_DEAD = -5
