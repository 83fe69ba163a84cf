/**
 * One perf event. Counterpart: struct perf_event in include/linux/perf_event.h, with its field names.
 *
 * It is data: what happens to it stands in sched.ts, lifecycle.ts and the descriptor operations. `state` is changed
 * by setState() in event-time.ts alone, so that no time is lost. An event is installed in a context (`ctx`) until
 * it is removed; afterwards its totals stand still.
 */

import type { Failure } from '../abi/errno.js'
import {
  PERF_ATTACH_TASK,
  PERF_EVENT_STATE_ACTIVE,
  PERF_EVENT_STATE_DEAD,
  PERF_EVENT_STATE_ERROR,
  PERF_EVENT_STATE_EXIT,
  PERF_EVENT_STATE_INACTIVE,
  PERF_EVENT_STATE_OFF,
  PERF_EVENT_STATE_REVOKED,
} from '../abi/perf-event.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import type { PerfEventContext, PmuContext } from './context.js'
import type { Pmu, TimesOnCpu } from './pmu.js'
import type { PerfHost, Task } from './task.js'

/** A perf_event_state value. */
export type EventState =
  | typeof PERF_EVENT_STATE_ACTIVE
  | typeof PERF_EVENT_STATE_INACTIVE
  | typeof PERF_EVENT_STATE_OFF
  | typeof PERF_EVENT_STATE_ERROR
  | typeof PERF_EVENT_STATE_EXIT
  | typeof PERF_EVENT_STATE_REVOKED
  | typeof PERF_EVENT_STATE_DEAD

const stateNames = {
  [PERF_EVENT_STATE_ACTIVE]: 'active',
  [PERF_EVENT_STATE_INACTIVE]: 'inactive',
  [PERF_EVENT_STATE_OFF]: 'off',
  [PERF_EVENT_STATE_ERROR]: 'error',
  [PERF_EVENT_STATE_EXIT]: 'exit',
  [PERF_EVENT_STATE_REVOKED]: 'revoked',
  [PERF_EVENT_STATE_DEAD]: 'dead',
} as const

/** A state as users read it. */
export type StateName = (typeof stateNames)[EventState]

/** The PMU's part of an event. Counterpart: struct hw_perf_event. */
export interface HwPerfEvent {
  /** The PMU's raw value when it was last folded into `count`. */
  prev_count: bigint
  /** PERF_HES_ bits. */
  state: number
  /** The period that a sampling PMU is to use now. */
  sample_period: bigint
  /** The thread to count, undefined for a per-CPU event. */
  readonly target: Task | undefined
}

/** What an event needs of the core that made it. */
export interface EventCore {
  readonly host: PerfHost
  /** The event is gone: nothing of it is left on its PMU. */
  freed(event: PerfEvent): void
}

/** What an event is made from. */
export interface PerfEventSpec {
  readonly core: EventCore
  readonly id: bigint
  readonly attr: perf_event_attr
  readonly pmu: Pmu
  readonly cpu: number
  readonly task: Task | undefined
  /** The leader of the group it is to join; itself where not given. */
  readonly group_leader: PerfEvent | undefined
}

export class PerfEvent {
  readonly core: EventCore
  /** Unique, and never used again: PERF_FORMAT_ID, PERF_EVENT_IOC_ID. */
  readonly id: bigint
  /** Its own copy: enable_on_exec and the period change while it lives. */
  attr: perf_event_attr
  readonly pmu: Pmu
  /** The CPU to count on, -1 for any. A PMU's event_init() may move it: one-cpu.ts. */
  cpu: number
  readonly hw: HwPerfEvent
  /** PERF_ATTACH_ bits. */
  attach_state: number
  /** The PMU's own data. */
  pmu_private: unknown = undefined
  /** Set by event_init: frees what it took. Called once. */
  destroy: ((event: PerfEvent) => void) | undefined = undefined

  /** u64, wraps. The PMU folds into it. */
  count = 0n
  state: EventState
  /** Why its count could not be had when its PMU was asked last: EIO; undefined: it could be. */
  failure: Failure | undefined = undefined
  /** Context time of the last update of the totals. */
  tstamp = 0n
  total_time_enabled = 0n
  total_time_running = 0n
  /** What its PMU said of its times at the last update of the totals, where it follows the thread. */
  times_on_cpu: TimesOnCpu | undefined = undefined
  /** How many more overflows before the event is switched off (PERF_EVENT_IOC_REFRESH). */
  event_limit = 0

  group_leader: PerfEvent
  /** The leader's other members, in the order they joined. */
  readonly sibling_list = new Set<PerfEvent>()
  /** Whether all members of the group led by this event belong to software PMUs. */
  isSoftwareGroup: boolean
  ctx: PerfEventContext | undefined = undefined
  /** Where its group is scheduled: for a software event in a hardware group, the hardware PMU's. */
  pmu_ctx: PmuContext | undefined = undefined

  /** Who sleeps in poll(2) on it. */
  readonly waiters = new Set<() => void>()

  constructor(spec: PerfEventSpec) {
    this.core = spec.core
    this.id = spec.id
    this.attr = spec.attr
    this.pmu = spec.pmu
    this.cpu = spec.cpu
    this.hw = { prev_count: 0n, state: 0, sample_period: spec.attr.sample_period, target: spec.task }
    this.attach_state = spec.task ? PERF_ATTACH_TASK : 0
    this.state = spec.attr.disabled ? PERF_EVENT_STATE_OFF : PERF_EVENT_STATE_INACTIVE
    this.group_leader = spec.group_leader ?? this
    this.isSoftwareGroup = this.isSoftware
  }

  /** Whether it belongs to a software PMU: it may join any group and always finds room. */
  get isSoftware(): boolean {
    return this.pmu.task_ctx_nr === 'perf_sw_context'
  }

  /** Whether it is to count, be it on its PMU now or waiting. */
  get isEnabled(): boolean {
    return this.state >= PERF_EVENT_STATE_INACTIVE
  }

  /** Whether it samples: is_sampling_event(). */
  get isSampling(): boolean {
    return this.attr.sample_period !== 0n
  }

  /** One that is to count and cannot be read is shown as in error: its state alone would pass for that of a count. */
  get stateName(): StateName {
    return this.isEnabled && this.failure ? 'error' : stateNames[this.state]
  }
}

/** The leader of an event's group and then its siblings, in order. */
export const groupOf = (event: PerfEvent): readonly PerfEvent[] => [
  event.group_leader,
  ...event.group_leader.sibling_list,
]
